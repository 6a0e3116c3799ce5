//! Batches: their order, their pixels, their failures.

mod common;

use candle_core::Tensor;
use cass_data::Error;
use cass_data::prelude::*;
use common::{config, open_cached, open_phantoms, phantoms};
use std::fs;
use std::path::Path;
use std::sync::Arc;

const PIPELINES: [Pipeline; 6] = [
    Pipeline::Paper,
    Pipeline::PaperBlurSolarize,
    Pipeline::Crops,
    Pipeline::Eval,
    Pipeline::Dino,
    Pipeline::Byol,
];

fn epoch(dataset: &Arc<Dataset>, config: &LoaderConfig, epoch: u64) -> Vec<Batch> {
    let all = (0..dataset.len()).collect();
    let loader = Loader::new(dataset.clone(), all, config.clone()).unwrap();
    loader.epoch(epoch).map(Result::unwrap).collect()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Every value of every view, in order.
fn pixels(batches: &[Batch]) -> Vec<f32> {
    let views = batches.iter().flat_map(|b| &b.views);
    views.flat_map(values).collect()
}

fn order(batches: &[Batch]) -> Vec<usize> {
    batches.iter().flat_map(|b| b.samples.clone()).collect()
}

/// Images of `in_chans` channels at `root`.
fn of_channels(name: &str, root: &Path, in_chans: usize) -> Arc<Dataset> {
    let recipe = DataRecipe {
        in_chans,
        ..DataRecipe::new(name, root)
    };
    Arc::new(recipe.open(&OpenOptions::default()).unwrap())
}

/// Grey levels are drawn upon alike, whether a network sees one plane of them or three.
#[test]
fn one_channel_is_the_plane_that_three_repeat() {
    let folder = phantoms(32);
    let root = folder.path();
    let [one, three] = [1, 3].map(|in_chans| of_channels("brain-mri", root, in_chans));
    for pipeline in PIPELINES {
        let config = config(pipeline.clone());
        let [one, three] = [&one, &three].map(|dataset| epoch(dataset, &config, 0));
        for (one, three) in one.iter().zip(&three) {
            for (one, three) in one.views.iter().zip(&three.views) {
                let images = three.dims()[0];
                assert_eq!(one.dims(), [images, 1, 24, 24]);
                let red = values(&three.narrow(1, 0, 1).unwrap());
                for (grey, red) in values(one).into_iter().zip(red) {
                    let (grey, red) = (grey * 0.226 + 0.449, red * 0.229 + 0.485);
                    assert!((grey - red).abs() < 1e-6, "{pipeline}: {grey} {red}");
                }
            }
        }
    }
}

#[test]
fn many_channels_pass_every_pipeline_and_each_has_its_statistics() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/golden/images/five-channels.tif");
    let bytes = fs::read(&fixture).unwrap();
    for image in 0..3u8 {
        // What follows the image makes it another file.
        let file = folder.path().join(format!("{image}.tif"));
        fs::write(file, [&bytes[..], &[image]].concat()).unwrap();
    }
    let dataset = of_channels("images", folder.path(), 5);
    for pipeline in PIPELINES {
        for batch in epoch(&dataset, &config(pipeline), 0) {
            assert!(batch.views.iter().all(|v| v.dims() == [3, 5, 24, 24]));
        }
    }
    let batch = epoch(&dataset, &config(Pipeline::Eval), 0).remove(0);
    let pixels = dataset.pixels(0, 24).unwrap();
    for (channel, (mean, std)) in [
        (0.485, 0.229),
        (0.456, 0.224),
        (0.406, 0.225),
        (0.485, 0.229),
        (0.456, 0.224),
    ]
    .into_iter()
    .enumerate()
    {
        let plane = values(
            &batch
                .images()
                .narrow(0, 0, 1)
                .unwrap()
                .narrow(1, channel, 1)
                .unwrap(),
        );
        let bytes = pixels.bytes().iter().skip(channel).step_by(5);
        for (value, &byte) in plane.into_iter().zip(bytes) {
            assert!((value - (f32::from(byte) / 255.0 - mean) / std).abs() < 1e-5);
        }
    }
}

#[test]
fn batches_have_the_promised_shapes() {
    let folder = phantoms(32);
    let dataset = Arc::new(open_phantoms(&folder));
    for pipeline in PIPELINES {
        let batches = epoch(&dataset, &config(pipeline.clone()), 0);
        assert_eq!(batches.len(), 9);
        for (number, batch) in batches.iter().enumerate() {
            let size = if number == 8 { 4 } else { 5 };
            assert_eq!(batch.views.len(), pipeline.views());
            for view in &batch.views {
                assert_eq!(view.dims(), [size, 3, 24, 24]);
            }
            assert_eq!(batch.samples.len(), size);
            for (&label, &sample) in batch.labels.iter().zip(&batch.samples) {
                assert_eq!(label, dataset.samples[sample].label());
            }
        }
        let values = pixels(&batches);
        let (lo, hi) = values
            .iter()
            .fold((0f32, 0f32), |(lo, hi), &v| (lo.min(v), hi.max(v)));
        assert!(lo >= -2.12 && hi <= 2.65, "{pipeline:?}: {lo} to {hi}");
        assert!(lo < -1.5 && hi > 1.0, "{pipeline:?}: {lo} to {hi}");
    }
}

#[test]
fn neither_threads_nor_the_cache_change_a_pixel() {
    let folder = phantoms(32);
    for pipeline in PIPELINES {
        let reference = Arc::new(open_phantoms(&folder));
        let alone = LoaderConfig {
            threads: 1,
            prefetch: 1,
            ..config(pipeline.clone())
        };
        let want = epoch(&reference, &alone, 2);
        let disk = Cache::Disk {
            folder: folder.path().join("pixels"),
        };
        let with = |cache| Arc::new(open_cached(&folder, cache).unwrap());
        let (uncached, partly) = (with(Cache::Off), with(Cache::Ram { bytes: 10_000 }));
        let (first, second) = (with(disk.clone()), with(disk));
        for dataset in [&reference, &uncached, &partly, &first, &second] {
            for threads in [1, 3] {
                let other = LoaderConfig {
                    threads,
                    prefetch: 4,
                    ..config(pipeline.clone())
                };
                let got = epoch(dataset, &other, 2);
                assert_eq!(order(&got), order(&want));
                assert_eq!(
                    pixels(&got),
                    pixels(&want),
                    "{pipeline:?}, {threads} threads"
                );
            }
        }
    }
}

#[test]
fn epochs_seeds_and_samples_are_drawn_apart() {
    let folder = phantoms(32);
    let dataset = Arc::new(open_phantoms(&folder));
    for pipeline in [Pipeline::Paper, Pipeline::Dino] {
        let unshuffled = LoaderConfig {
            shuffle: false,
            ..config(pipeline.clone())
        };
        let first = epoch(&dataset, &unshuffled, 0);
        assert_eq!(order(&first), (0..dataset.len()).collect::<Vec<_>>());
        assert_ne!(pixels(&first), pixels(&epoch(&dataset, &unshuffled, 1)));
        let seeded = LoaderConfig {
            seed: 4,
            ..unshuffled.clone()
        };
        assert_ne!(pixels(&first), pixels(&epoch(&dataset, &seeded, 0)));
    }
    let shuffled = config(Pipeline::Eval);
    let orders = [0, 1].map(|e| order(&epoch(&dataset, &shuffled, e)));
    assert_ne!(orders[0], orders[1]);
    let mut sorted = orders[0].clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..dataset.len()).collect::<Vec<_>>());
}

/// What a pipeline's one view is, the first of several is, too; the others are drawn apart.
#[test]
fn views_of_an_image_are_drawn_apart() {
    let folder = phantoms(32);
    let dataset = Arc::new(open_phantoms(&folder));
    let views = [Pipeline::Paper, Pipeline::Paper, Pipeline::Eval];
    let several = epoch(&dataset, &config(Pipeline::Views(views.into())), 0);
    let of_view = |view: usize| -> Vec<Vec<f32>> {
        let images = several.iter().map(|batch| &batch.views[view]);
        images.map(values).collect()
    };
    let alone = |pipeline| -> Vec<Vec<f32>> {
        let batches = epoch(&dataset, &config(pipeline), 0);
        batches.iter().map(|batch| values(batch.images())).collect()
    };
    assert_eq!(of_view(0), alone(Pipeline::Paper));
    assert_eq!(of_view(2), alone(Pipeline::Eval));
    let differ = of_view(0).iter().zip(&of_view(1)).all(|(a, b)| a != b);
    assert!(differ, "a batch's second view is its first");
}

/// A pipeline of one view that is drawn twice makes what a list of it twice does.
#[test]
fn two_draws_of_one_view_are_two_views() {
    let folder = phantoms(32);
    let dataset = Arc::new(open_phantoms(&folder));
    let twice = LoaderConfig {
        draws: 2,
        ..config(Pipeline::Paper)
    };
    let views = Pipeline::Views([Pipeline::Paper, Pipeline::Paper].into());
    let [drawn, listed] = [twice, config(views)].map(|config| epoch(&dataset, &config, 0));
    assert_eq!(drawn[0].views.len(), 2);
    assert_eq!(pixels(&drawn), pixels(&listed));
    let several = LoaderConfig {
        draws: 2,
        ..config(Pipeline::Byol)
    };
    let error = Loader::new(dataset, vec![0], several).err().unwrap();
    assert!(
        error.to_string().contains("`draws` is 2; expected 1"),
        "{error}"
    );
}

/// The paper's draws belong to the image, DINO's to the batch, as in the reference.
#[test]
fn a_sample_in_another_batch() {
    let folder = phantoms(32);
    let dataset = Arc::new(open_phantoms(&folder));
    for (pipeline, same) in [(Pipeline::Paper, true), (Pipeline::Dino, false)] {
        let views = [1, 40].map(|batch| {
            let config = LoaderConfig {
                shuffle: false,
                batch,
                ..config(pipeline.clone())
            };
            let batches = epoch(&dataset, &config, 0);
            let sample = batches[30 / batch].views[0].get(30 % batch).unwrap();
            values(&sample)
        });
        assert_eq!(views[0] == views[1], same, "{pipeline:?}");
    }
}

#[test]
fn an_image_may_be_drawn_twice_and_the_first_draw_is_what_it_was() {
    let folder = phantoms(32);
    let dataset = Arc::new(open_phantoms(&folder));
    for pipeline in [Pipeline::Paper, Pipeline::Crops] {
        let once = config(pipeline.clone());
        let twice = LoaderConfig {
            draws: 2,
            ..once.clone()
        };
        let (one, two) = (epoch(&dataset, &once, 0), epoch(&dataset, &twice, 0));
        for (one, two) in one.iter().zip(&two) {
            assert_eq!((one.views.len(), two.views.len()), (1, 2));
            assert_eq!(values(&one.views[0]), values(&two.views[0]));
            assert_ne!(values(&two.views[0]), values(&two.views[1]));
        }
    }
    let dino = LoaderConfig {
        draws: 2,
        ..config(Pipeline::Dino)
    };
    let error = Loader::new(dataset, vec![0], dino).err().unwrap();
    let expected = "`draws` is 2; expected 1, or more of a pipeline that makes one view";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn drop_last_leaves_the_smaller_batch_out() {
    let folder = phantoms(16);
    let dataset = Arc::new(open_phantoms(&folder));
    let all = (0..dataset.len()).collect();
    let config = LoaderConfig {
        drop_last: true,
        ..config(Pipeline::Eval)
    };
    let loader = Loader::new(dataset, all, config).unwrap();
    assert_eq!((loader.batches(), loader.images()), (8, 40));
    let sizes: Vec<usize> = loader.epoch(0).map(|b| b.unwrap().labels.len()).collect();
    assert_eq!(sizes, [5; 8]);
}

#[test]
fn an_epoch_may_be_left_early() {
    let folder = phantoms(16);
    let dataset = Arc::new(open_phantoms(&folder));
    let all: Vec<_> = (0..dataset.len()).collect();
    for prefetch in [0, 1, 100] {
        let config = LoaderConfig {
            prefetch,
            batch: 1,
            ..config(Pipeline::Paper)
        };
        let loader = Loader::new(dataset.clone(), all.clone(), config).unwrap();
        drop(loader.epoch(0));
        assert_eq!(loader.epoch(0).take(3).count(), 3);
    }
}

#[test]
fn an_epoch_may_be_begun_late() {
    let folder = phantoms(16);
    let dataset = Arc::new(open_phantoms(&folder));
    let all: Vec<_> = (0..dataset.len()).collect();
    for pipeline in PIPELINES {
        let loader = Loader::new(dataset.clone(), all.clone(), config(pipeline)).unwrap();
        let whole: Vec<Batch> = loader.epoch(3).map(Result::unwrap).collect();
        for first in [0, 2, whole.len() - 1, whole.len()] {
            let late: Vec<Batch> = loader.epoch_from(3, first).map(Result::unwrap).collect();
            assert_eq!(order(&late), order(&whole[first..]));
            assert_eq!(pixels(&late), pixels(&whole[first..]));
        }
    }
}

#[test]
fn a_file_that_broke_since_is_named_once() {
    let folder = phantoms(16);
    let dataset = Arc::new(open_phantoms(&folder));
    let broken = dataset.samples[12].path.clone();
    fs::write(&broken, "").unwrap();
    let config = LoaderConfig {
        shuffle: false,
        ..config(Pipeline::Eval)
    };
    let all = (0..dataset.len()).collect();
    let loader = Loader::new(dataset, all, config).unwrap();
    let results: Vec<_> = loader.epoch(0).collect();
    assert_eq!(results.len(), 3, "two good batches, then the error");
    assert!(results[..2].iter().all(Result::is_ok));
    match &results[2] {
        Err(Error::Image { path, .. }) => assert_eq!(path, &broken),
        other => panic!("{other:?}"),
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let folder = phantoms(16);
    let dataset = Arc::new(open_phantoms(&folder));
    let refused = |indices: Vec<usize>, change: fn(&mut LoaderConfig)| {
        let mut config = config(Pipeline::Eval);
        change(&mut config);
        let result = Loader::new(dataset.clone(), indices, config);
        result.err().map(|e| e.to_string()).unwrap()
    };
    assert!(refused(vec![0], |c| c.batch = 0).contains("`batch` is 0"));
    assert!(refused(vec![0], |c| c.size = 0).contains("`size` is 0"));
    assert!(refused(vec![], |_| ()).contains("`samples` is 0"));
    assert!(refused(vec![0, 44], |_| ()).contains("`sample` is 44"));
}
