//! Short runs of PyTorch, replayed on the same batches from the same weights.

use cass_testing::golden_folder;
use cass_train::methods::{
    ByolConfig, CassConfig, ContrastConfig, DinoConfig, SimsiamConfig, VicregConfig,
};
use cass_train::trajectory::{Deviation, Replay};
use cass_train::{Method, Protocol};

/// On a CPU, and by the kernels of a GPU under emulation.
fn replay(name: &str, kinds: &[&str], method: impl Into<Method>, replay: &Replay) -> Deviation {
    let method = method.into();
    cass_ops::gpu::emulated(|| replay_here(name, kinds, &method, replay));
    replay_here(name, kinds, &method, replay)
}

/// Losses have to agree within 1e-3, rates to 1e-12, every single tensor within 1e-2 of its norm.
fn replay_here(name: &str, kinds: &[&str], method: &Method, replay: &Replay) -> Deviation {
    let found = method.replay(replay, &golden_folder(name)).unwrap();
    assert!(found.passed(1e-3), "{found:?}");
    let (step, error) = found.worst_loss();
    println!("{name}: loss {error:.1e} at step {step}, lr {:?}", found.lr);
    for kind in &found.tensors {
        let worst = &kind.worst;
        println!(
            "  {}: {:.1e}, worst {:.1e} at {}",
            kind.what, kind.error, worst.error, worst.name
        );
        assert!(worst.error < 1e-2 && kind.decided, "{kind:?}");
    }
    let found_kinds: Vec<&str> = found
        .tensors
        .iter()
        .map(|kind| kind.what.as_str())
        .collect();
    assert_eq!(found_kinds, kinds);
    found
}

const CASS: [&str; 3] = ["cnn parameters", "cnn statistics", "vit parameters"];
const AVERAGED: [&str; 3] = [
    "swa.cnn parameters",
    "swa.cnn statistics",
    "swa.vit parameters",
];

#[test]
fn cass_follows_pytorch() {
    let kinds = [CASS, AVERAGED].concat();
    let cass = Replay::new(Protocol::Paper);
    let found = replay("trajectory_cass", &kinds, CassConfig::default(), &cass);
    assert_eq!((found.losses.len(), found.lr.is_some()), (8, true));

    // That it can fail: averages that start a step late, and a tolerance that nothing meets.
    let late = Replay {
        swa_start: 5,
        ..cass
    };
    let late = Method::from(CassConfig::default())
        .replay(&late, &golden_folder("trajectory_cass"))
        .unwrap();
    assert!(!late.passed(1e-5) && !found.passed(1e-9));
    assert_eq!(late.losses, found.losses);
    assert!(late.tensors[3].error > 10.0 * found.tensors[3].error);
}

#[test]
fn cass_with_sgd_for_the_cnn_follows_pytorch() {
    let kinds = [CASS, AVERAGED].concat();
    let mut sgd = Replay::new(Protocol::Paper);
    sgd.cnn_sgd = true;
    replay("trajectory_cass_sgd", &kinds, CassConfig::default(), &sgd);
}

#[test]
fn cass_that_never_zeroes_gradients_follows_pytorch() {
    let notebook = Replay::new(Protocol::Notebook);
    replay(
        "trajectory_cass_notebook",
        &CASS,
        CassConfig::default(),
        &notebook,
    );
    let zeroed = Replay::new(Protocol::Paper);
    let cass = Method::from(CassConfig::default());
    let folder = golden_folder("trajectory_cass_notebook");
    let error = cass.replay(&zeroed, &folder).unwrap_err();
    assert!(error.to_string().contains("no tensor `swa.cnn."), "{error}");
}

#[test]
fn dino_follows_pytorch_for_a_cnn() {
    let kinds = [
        "student parameters",
        "student statistics",
        "student projector",
        "teacher parameters",
        "teacher statistics",
        "teacher projector",
        "centers",
    ];
    replay(
        "trajectory_dino_cnn",
        &kinds,
        DinoConfig::default(),
        &Replay::new(Protocol::Paper),
    );
}

/// Recorded in f64, where nothing is left but rounding.
#[test]
fn methods_of_two_views_follow_pytorch() {
    let kinds = [
        "online parameters",
        "online statistics",
        "online heads",
        "target parameters",
        "target statistics",
        "target heads",
    ];
    for (name, method, kinds) in [
        (
            "trajectory_vicreg",
            Method::from(VicregConfig::default()),
            &kinds[..3],
        ),
        (
            "trajectory_simsiam",
            SimsiamConfig::default().into(),
            &kinds[..3],
        ),
        ("trajectory_byol", ByolConfig::default().into(), &kinds[..]),
    ] {
        let found = replay(name, kinds, method, &Replay::new(Protocol::Paper));
        assert!(found.passed(1e-8), "{name}: {found:?}");
        assert!(
            found.losses.len() == 5 && found.lr < Some(1e-15),
            "{found:?}"
        );
    }
    // That it can fail: another weight of the covariances.
    let other = VicregConfig {
        cov_coeff: 1.1,
        ..VicregConfig::default()
    };
    let found = Method::from(other)
        .replay(
            &Replay::new(Protocol::Paper),
            &golden_folder("trajectory_vicreg"),
        )
        .unwrap();
    assert!(!found.passed(1e-5), "{found:?}");
}

#[test]
fn dino_follows_pytorch_for_a_transformer() {
    let kinds = [
        "student parameters",
        "student projector",
        "teacher parameters",
        "teacher projector",
        "centers",
    ];
    replay(
        "trajectory_dino_vit",
        &kinds,
        DinoConfig::default(),
        &Replay::new(Protocol::Paper),
    );
}

#[test]
fn a_contrast_follows_pytorch() {
    let kinds = [
        "cnn parameters",
        "cnn statistics",
        "cnn projector",
        "cnn anchor",
        "cnn distil",
        "cnn queue",
        "vit parameters",
        "vit projector",
        "vit anchor",
        "vit distil",
        "vit queue",
    ];
    let found = replay(
        "trajectory_contrast",
        &kinds,
        ContrastConfig::default(),
        &Replay::new(Protocol::Paper),
    );
    assert_eq!((found.losses.len(), found.lr), (5, Some(0.0)));
}

/// Where both compute in f64, nothing is left but rounding.
#[test]
fn a_recording_in_f64_is_followed_to_rounding() {
    let replay = Replay::new(Protocol::Paper);
    for (name, method) in [
        (
            "trajectory_cass_double",
            Method::from(CassConfig::default()),
        ),
        ("trajectory_dino_double", DinoConfig::default().into()),
        (
            "trajectory_contrast_double",
            ContrastConfig::default().into(),
        ),
    ] {
        let found = method.replay(&replay, &golden_folder(name)).unwrap();
        let (step, loss) = found.worst_loss();
        assert!(loss < 1e-12, "{name}: loss {loss:.1e} at step {step}");
        for kind in &found.tensors {
            println!("{name}, {}: {:.1e}", kind.what, kind.error);
            assert!(kind.error < 1e-9 && kind.decided, "{name}: {kind:?}");
        }
    }
}

#[test]
fn what_cannot_be_replayed_is_named() {
    let (dino, replay) = (
        Method::from(DinoConfig::default()),
        Replay::new(Protocol::Paper),
    );
    let error = dino
        .replay(&replay, &golden_folder("trajectory_cass"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("trajectory.safetensors cannot be replayed: it holds no tensor `local1.0`"),
        "{error}"
    );
    let error = dino
        .replay(&replay, &golden_folder("none"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("trajectory.safetensors cannot be replayed: "),
        "{error}"
    );
}
