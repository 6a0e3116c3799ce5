//! Runs that are stopped, and go on to the same bytes.

use super::*;
use std::num::NonZeroU64;

/// What a run leaves that no clock decides.
struct Left {
    log: Vec<Value>,
    metrics: Value,
    /// Names and bytes.
    checkpoints: Vec<(String, Vec<u8>)>,
}

fn left(run: &Path) -> Left {
    let read = |name: &str| fs::read_to_string(run.join(name)).unwrap();
    let json = |text: &str| timeless(serde_json::from_str(text).unwrap());
    let names = ["cnn", "vit", "net"].map(|arm| format!("checkpoint-{arm}.safetensors"));
    let there = names.into_iter().filter(|name| run.join(name).exists());
    let checkpoints = there.map(|name| (name.clone(), fs::read(run.join(name)).unwrap()));
    Left {
        log: read("log.jsonl").lines().map(json).collect(),
        metrics: json(&read("metrics.json")),
        checkpoints: checkpoints.collect(),
    }
}

/// Runs until the steps of `stops` are done, each in an attempt of its own, and then to the end.
fn in_pieces(folder: &Folder, recipe: &Recipe, stops: &[u64]) -> PathBuf {
    for &stop_at in stops {
        let options = options();
        let stop = options.stop.clone();
        let mut observe = |event: &Event| {
            if matches!(event, Event::Step { step, .. } if step + 1 == stop_at) {
                stop.request();
            }
        };
        let error = folder
            .watched("pieces", recipe, &options, &mut observe)
            .unwrap_err();
        assert!(
            matches!(error, Error::Interrupted { step, .. } if step == stop_at),
            "{error}"
        );
    }
    let mut resumed = None;
    let mut observe = |event: &Event| {
        if let Event::Resumed { step, .. } = event {
            resumed = Some(*step);
        }
    };
    let options = options();
    let (run, _) = folder
        .watched("pieces", recipe, &options, &mut observe)
        .unwrap();
    assert_eq!(resumed, stops.last().copied());
    assert!(!run.join("resume").exists());
    run
}

fn equal_in_pieces(recipe: &Recipe, folder: &Folder, stops: &[u64]) {
    let (whole, _) = folder.run("whole", recipe).unwrap();
    let pieces = in_pieces(folder, recipe, stops);
    let (whole, pieces) = (left(&whole), left(&pieces));
    assert_eq!(whole.log, pieces.log);
    assert_eq!(whole.metrics, pieces.metrics);
    assert!(
        whole.checkpoints == pieces.checkpoints,
        "the checkpoints differ"
    );
    assert!(!whole.checkpoints.is_empty());
}

/// Both optimisers, gradients that add up, running statistics, averages; stopped in the middle of
/// an epoch, at its end, and after the last step.
#[test]
fn cass_goes_on_to_the_same_bytes() {
    let folder = Folder::with_phantoms();
    let mut recipe = recipe(CassConfig::default(), &folder.data());
    recipe.zero_grad = false;
    recipe.arms.get_mut("cnn").unwrap().optimizer = OptimizerConfig::Sgd(SgdConfig {
        momentum: 0.9,
        ..SgdConfig::default()
    });
    recipe.swa = Some(Swa { start: 0.0 });
    equal_in_pieces(&recipe, &folder, &[3, 4, 8]);
}

#[test]
fn dino_goes_on_to_the_same_bytes() {
    let folder = Folder::with_phantoms();
    equal_in_pieces(&recipe(dino(), &folder.data()), &folder, &[2, 5]);
}

/// Heads with parameters of their own, and two views of each image; a target that follows ever less.
#[test]
fn methods_of_two_views_go_on_to_the_same_bytes() {
    let vicreg = VicregConfig {
        expander_width: 16,
        ..VicregConfig::default()
    };
    let simsiam = SimsiamConfig {
        dim: 16,
        pred_dim: 8,
    };
    let byol = ByolConfig {
        projection_hidden_size: 16,
        projection_size: 8,
        momentum: 0.9,
    };
    let methods = [Method::from(vicreg), simsiam.into(), byol.into()];
    for method in methods {
        let folder = Folder::with_phantoms();
        equal_in_pieces(&recipe(method, &folder.data()), &folder, &[5]);
    }
}

/// Projectors with optimisers of their own, and a queue that is not yet full and that is.
#[test]
fn a_contrast_goes_on_to_the_same_bytes() {
    let folder = Folder::with_phantoms();
    equal_in_pieces(&recipe(contrast(), &folder.data()), &folder, &[1, 3, 5]);
}

/// The network that was the best so far is in states too, its running statistics as well.
#[test]
fn the_best_epoch_is_kept_and_goes_on_to_the_same_bytes() {
    let folder = Folder::with_phantoms();
    let mut recipe = recipe(CassConfig::default(), &folder.data());
    (recipe.keep, recipe.swa, recipe.epochs) = (Keep::Best, None, 4);
    let mut readings = std::collections::BTreeMap::<String, Vec<f64>>::new();
    let observe = &mut |event: &Event| {
        if let Event::Collapse {
            when: When::Epoch,
            arm,
            views,
            ..
        } = event
        {
            let readings = readings.entry(arm.clone()).or_default();
            readings.push(views.expect("a reading").invariance);
        }
    };
    let (path, metrics) = folder
        .watched("best", &recipe, &options(), observe)
        .unwrap();
    for (arm, readings) in &readings {
        let most = readings.iter().copied().fold(f64::MIN, f64::max);
        let first = readings
            .iter()
            .position(|&reading| reading == most)
            .unwrap();
        assert_eq!(metrics.kept[arm], first, "{readings:?}");
        assert_eq!(metrics.views[arm].after.unwrap().invariance, most);
        let bytes = fs::read(path.join(format!("checkpoint-{arm}.safetensors"))).unwrap();
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let epoch = &header.metadata().as_ref().unwrap()["epoch"];
        assert_eq!(*epoch, first.to_string());
    }
    // So that something is held to it: one of the networks is not of the last epoch.
    assert!(
        metrics.kept.values().any(|&epoch| epoch < 3),
        "{readings:?}"
    );
    equal_in_pieces(&recipe, &folder, &[5, 10, 13]);
}

/// What is kept is f32 all the same, and what is kept is all there is to it.
#[test]
fn bf16_goes_on_to_the_same_bytes() {
    let folder = Folder::with_phantoms();
    let mut recipe = recipe(CassConfig::default(), &folder.data());
    (recipe.precision, recipe.epochs) = (Precision::Bf16, 1);
    equal_in_pieces(&recipe, &folder, &[2]);

    let (low, metrics) = (folder.folder.path().join("whole"), "metrics.json");
    let metrics = fs::read_to_string(low.join(metrics)).unwrap();
    assert!(
        metrics.contains("precision = bf16 (paper: f32)"),
        "{metrics}"
    );
    recipe.precision = Precision::F32;
    let (full, _) = folder.run("f32", &recipe).unwrap();
    for arm in ["cnn", "vit"] {
        let [low, full] = [&low, &full].map(|run| {
            let file = run.join(format!("checkpoint-{arm}.safetensors"));
            load(file, &Device::Cpu).unwrap()
        });
        let [mut away, mut differ] = [0, 0];
        for (key, low) in &low {
            let full = &full[key];
            assert_eq!(low.dtype(), full.dtype(), "{arm}: {key}");
            let [low, full] = [low, full].map(|t| t.to_dtype(DType::F32).unwrap());
            let low = low.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let full = full.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            differ += usize::from(low != full);
            // More bits than bf16 has: these are no rounded weights.
            away += usize::from(low.iter().any(|v| v.to_bits() & 0xffff != 0));
        }
        assert!(
            differ * 2 > low.len() && away * 2 > low.len(),
            "{arm}: {differ}, {away}"
        );
    }
}

/// The device is what decides, and it is told before anything is read.
#[test]
fn a_cpu_refuses_bf16_unless_it_is_to_emulate_it() {
    let folder = Folder::with_phantoms();
    let mut recipe = recipe(dino(), Path::new("nowhere"));
    recipe.precision = Precision::Bf16;
    let user = PretrainOptions::default();
    let refused = folder.watched("refused", &recipe, &user, &mut |_| ());
    let message = refused.unwrap_err().to_string();
    let wanted = "`precision` is bf16; expected f32 on a CPU (`device` = cpu)";
    assert!(message.starts_with(wanted), "{message}");
    assert!(!message.contains('\n'));
    let tried = folder.run("tried", &recipe).unwrap_err().to_string();
    assert!(tried.contains("nowhere"), "{tried}");
}

#[test]
fn a_cut_log_is_rebuilt_and_other_images_are_no_run_to_continue() {
    let folder = Folder::with_phantoms();
    let mut recipe = recipe(dino(), &folder.data());
    let net = recipe.arms.get_mut("net").unwrap();
    net.network = "vit_tiny_patch16_224".into();
    recipe.epochs = 1;
    let options = PretrainOptions {
        checkpoint_every: NonZeroU64::new(1),
        ..PretrainOptions::default()
    };
    let stop_after_a_step = &mut |event: &Event| {
        if matches!(event, Event::Step { .. }) {
            options.stop.request();
        }
    };
    let stopped = folder.watched("run", &recipe, &options, stop_after_a_step);
    assert!(matches!(stopped, Err(Error::Interrupted { step: 1, .. })));

    let log = folder.folder.path().join("run/log.jsonl");
    let mut whole = fs::read(&log).unwrap();
    whole.truncate(10);
    fs::write(&log, &whole).unwrap();
    fs::write(log.with_file_name("events.out.tfevents.cass"), "").unwrap();

    let image = folder.data().join("Training/glioma/glioma-00000.jpg");
    fs::rename(&image, image.with_file_name("other.jpg")).unwrap();
    let error = folder.run("run", &recipe).unwrap_err().to_string();
    assert!(
        error.contains("its images have changed since it began"),
        "{error}"
    );
    fs::rename(image.with_file_name("other.jpg"), &image).unwrap();
    let mut warned = Vec::new();
    let observe = &mut |event: &Event| {
        if let Event::Warning { text } = event {
            warned.push(text.clone());
        }
    };
    folder
        .watched("run", &recipe, &PretrainOptions::default(), observe)
        .unwrap();
    assert!(warned.iter().any(|text| text.contains("log.jsonl was cut")));
    assert!(warned.iter().any(|text| text.contains("TensorBoard")));
    let log = fs::read_to_string(&log).unwrap();
    let events: Vec<Event> = log
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert!(matches!(events.first(), Some(Event::Start { .. })));
    assert!(matches!(events.last(), Some(Event::Done { .. })));
}
