use super::update::sgd_kernel;
use super::*;
use candle_core::{DType, Device};
use cass_ops::Tracked;
use cass_rng::Rng;

const SHAPE: (usize, usize) = (301, 170); // more than one task, and a rest

fn values(purpose: &str, step: u64) -> Vec<f64> {
    let mut rng = Rng::new(3, purpose, [step, 0], 0);
    (0..SHAPE.0 * SHAPE.1).map(|_| rng.normal()).collect()
}

fn tensor(purpose: &str, step: u64, dtype: DType) -> Tensor {
    let data = Tensor::from_vec(values(purpose, step), SHAPE, &Device::Cpu).unwrap();
    data.to_dtype(dtype).unwrap()
}

/// The gradients of a loss whose gradient is `grad`.
fn gradient(var: &Var, grad: &Tensor) -> Gradients {
    Tracked::from(var).backward_from(grad).unwrap()
}

fn every_config() -> Vec<OptimizerConfig> {
    let adam = AdamConfig {
        weight_decay: 0.1,
        ..AdamConfig::default()
    };
    let momentum = SgdConfig {
        momentum: 0.9,
        weight_decay: 0.01,
        ..SgdConfig::default()
    };
    vec![
        OptimizerConfig::Adam(AdamConfig::default()),
        OptimizerConfig::Adam(adam),
        OptimizerConfig::Sgd(SgdConfig::default()),
        OptimizerConfig::Sgd(SgdConfig {
            dampening: 0.3,
            ..momentum.clone()
        }),
        OptimizerConfig::Sgd(SgdConfig {
            nesterov: true,
            ..momentum
        }),
    ]
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    let difference = (a - b)
        .unwrap()
        .abs()
        .unwrap()
        .flatten_all()
        .unwrap()
        .max(0)
        .unwrap();
    difference
        .to_dtype(DType::F64)
        .unwrap()
        .to_scalar()
        .unwrap()
}

#[test]
fn in_place_passes_equal_their_twins() {
    for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::F64, 1e-14)] {
        for config in every_config() {
            let start = tensor("start", 0, dtype);
            let (fast, plain) = (
                Var::from_tensor(&start).unwrap(),
                Var::from_tensor(&start).unwrap(),
            );
            let mut optimizer = Optimizer::new(&config, vec![("p".into(), fast.clone())]).unwrap();
            let zeros = || start.zeros_like().map(State::Device).unwrap();
            let mut state: Vec<State> = config.state_names().iter().map(|_| zeros()).collect();
            for step in 1..5 {
                let grad = tensor("grad", step, dtype);
                optimizer.step(&gradient(&fast, &grad), 1e-2).unwrap();
                match (&config, state.as_mut_slice()) {
                    (OptimizerConfig::Sgd(sgd), []) => {
                        reference::sgd(&sgd_kernel(sgd, 1e-2), &plain, &grad).unwrap();
                    }
                    (config, state) => apply(config, step, 1e-2, &plain, &grad, state).unwrap(),
                }
            }
            let difference = largest_difference(&fast, &plain);
            assert!(difference < tolerance, "{config:?} {dtype:?}: {difference}");
            assert!(
                largest_difference(&fast, &start) > 1e-3,
                "{config:?} moved nothing"
            );
        }
    }
}

/// Candle's AdamW without decay is Adam; two steps by hand pin SGD with momentum.
#[test]
fn updates_are_the_textbooks() {
    let adam = OptimizerConfig::Adam(AdamConfig::default());
    let start = tensor("start", 0, DType::F64);
    let (ours, theirs) = (
        Var::from_tensor(&start).unwrap(),
        Var::from_tensor(&start).unwrap(),
    );
    let mut optimizer = Optimizer::new(&adam, vec![("p".into(), ours.clone())]).unwrap();
    let params = candle_nn::ParamsAdamW {
        lr: 1e-3,
        weight_decay: 0.0,
        ..Default::default()
    };
    let mut candle =
        <candle_nn::AdamW as candle_nn::Optimizer>::new(vec![theirs.clone()], params).unwrap();
    for step in 0..6 {
        let grad = tensor("grad", step, DType::F64);
        optimizer.step(&gradient(&ours, &grad), 1e-3).unwrap();
        let loss = (theirs.as_tensor() * &grad).unwrap().sum_all().unwrap();
        candle_nn::Optimizer::backward_step(&mut candle, &loss).unwrap();
    }
    assert!(largest_difference(&ours, &theirs) < 1e-12);

    let sgd = SgdConfig {
        momentum: 0.5,
        ..SgdConfig::default()
    };
    let x = Var::new(&[1f64], &Device::Cpu).unwrap();
    let mut optimizer =
        Optimizer::new(&OptimizerConfig::Sgd(sgd), vec![("x".into(), x.clone())]).unwrap();
    let grad = Tensor::new(&[2f64], &Device::Cpu).unwrap();
    for expected in [0.8, 0.5] {
        // Buffers 2, then 0.5 * 2 + 2 = 3; lr 0.1.
        optimizer.step(&gradient(&x, &grad), 0.1).unwrap();
        assert!((x.to_vec1::<f64>().unwrap()[0] - expected).abs() < 1e-12);
    }
}

#[test]
fn a_parameter_without_gradient_is_an_error_and_changes_nothing() {
    let adam = OptimizerConfig::Adam(AdamConfig::default());
    let x = Var::new(&[1f32], &Device::Cpu).unwrap();
    let y = Var::new(&[1f32], &Device::Cpu).unwrap();
    let params = vec![("x".to_string(), x.clone()), ("head.weight".to_string(), y)];
    let mut optimizer = Optimizer::new(&adam, params).unwrap();
    let error = optimizer
        .step(&gradient(&x, &x.ones_like().unwrap()), 0.1)
        .unwrap_err();
    assert!(error.to_string().contains("`head.weight`"), "{error}");
    assert_eq!(x.to_vec1::<f32>().unwrap(), [1.0]);
    assert_eq!(optimizer.steps(), 0);
}

#[test]
fn gradients_add_up_where_they_are_not_zeroed() {
    let sgd = OptimizerConfig::Sgd(SgdConfig::default());
    let x = Var::new(&[0f32], &Device::Cpu).unwrap();
    let params = vec![("x".to_string(), x.clone())];
    let mut optimizer = Optimizer::new(&sgd, params).unwrap().with_zero_grad(false);
    let grad = Tensor::new(&[1f32], &Device::Cpu).unwrap();
    for expected in [-1.0, -3.0, -6.0] {
        optimizer.step(&gradient(&x, &grad), 1.0).unwrap();
        assert_eq!(x.to_vec1::<f32>().unwrap(), [expected]);
    }
}

#[test]
fn saved_state_goes_on_to_the_bit() {
    for zero_grad in [true, false] {
        for config in every_config() {
            let start = tensor("start", 0, DType::F32);
            let new = |var: &Var| {
                let params = vec![("p".to_string(), var.clone())];
                Optimizer::new(&config, params)
                    .unwrap()
                    .with_zero_grad(zero_grad)
            };
            let through = Var::from_tensor(&start).unwrap();
            let mut optimizer = new(&through);
            let grad = |step| tensor("grad", step, DType::F32);
            for s in 0..3 {
                optimizer.step(&gradient(&through, &grad(s)), 0.01).unwrap();
            }
            let saved = optimizer.state().unwrap();
            let resumed = Var::from_tensor(&through.copy().unwrap()).unwrap();
            for s in 3..5 {
                optimizer.step(&gradient(&through, &grad(s)), 0.01).unwrap();
            }

            let mut optimizer = new(&resumed);
            optimizer.load_state(&saved).unwrap();
            for s in 3..5 {
                optimizer.step(&gradient(&resumed, &grad(s)), 0.01).unwrap();
            }
            assert_eq!(largest_difference(&through, &resumed), 0.0, "{config:?}");
        }
    }
}

#[test]
fn state_that_does_not_fit_is_an_error() {
    let adam = OptimizerConfig::Adam(AdamConfig::default());
    let var = |n: usize| Var::zeros(n, DType::F32, &Device::Cpu).unwrap();
    let new = |n| Optimizer::new(&adam, vec![("p".into(), var(n))]).unwrap();
    let error = new(3)
        .load_state(&new(2).state().unwrap())
        .unwrap_err()
        .to_string();
    assert!(error.contains("`p.exp_avg`"), "{error}");
    assert!(new(3).load_state(&HashMap::new()).is_err());
}

#[test]
fn blends() {
    let target = Var::new(&[1f32, 2.0], &Device::Cpu).unwrap();
    let source = Tensor::new(&[3f32, f32::MAX], &Device::Cpu).unwrap();
    blend(&target, &source, 0.75).unwrap();
    assert_eq!(target.to_vec1::<f32>().unwrap()[0], 1.5);
    blend(&target, &source, 0.0).unwrap();
    assert_eq!(target.to_vec1::<f32>().unwrap(), [3.0, f32::MAX]);
}

#[test]
fn norms_are_those_of_all_gradients_and_clipping_is_torchs() {
    let (a, b) = (tensor("a", 0, DType::F32), tensor("b", 0, DType::F32));
    let squares = values("a", 0).into_iter().chain(values("b", 0));
    let wanted = squares.map(|x| x * x).sum::<f64>().sqrt();
    let norm = norm::of(&[a.clone(), b.t().unwrap()]).unwrap();
    assert!((norm - wanted).abs() < 1e-6 * wanted, "{norm} not {wanted}");

    // torch: `max_norm / (norm + 1e-6)`, applied only below 1.
    let sgd = OptimizerConfig::Sgd(SgdConfig::default());
    let moved = |clip: Option<f64>| {
        let var = Var::from_tensor(&a.zeros_like().unwrap()).unwrap();
        let mut optimizer = Optimizer::new(&sgd, vec![("p".into(), var.clone())]).unwrap();
        optimizer.set_clip_norm(clip);
        let found = optimizer.step_with_norm(&gradient(&var, &a), 1.0).unwrap();
        let moved = norm::of(&[var.as_detached_tensor()]).unwrap();
        (found, moved)
    };
    let (norm, free) = moved(None);
    assert!((norm - free).abs() < 1e-6 * norm);
    assert_eq!(moved(Some(2.0 * norm)), (norm, free));
    let (unclipped, clipped) = moved(Some(1.5));
    assert!(
        unclipped == norm && (clipped - 1.5).abs() < 1e-5,
        "{clipped}"
    );
}

#[test]
fn gathered_gradients_are_those_of_one_step() {
    let (a, b) = (tensor("a", 0, DType::F64), tensor("b", 0, DType::F64));
    let adam = OptimizerConfig::Adam(AdamConfig::default());
    let run = |parts: &[&Tensor]| {
        let var = Var::from_tensor(&tensor("start", 0, DType::F64)).unwrap();
        let mut optimizer = Optimizer::new(&adam, vec![("p".into(), var.clone())]).unwrap();
        for _ in 0..2 {
            let (last, first) = parts.split_last().unwrap();
            for part in first {
                optimizer.gather(&gradient(&var, part)).unwrap();
            }
            optimizer.step(&gradient(&var, last), 1e-2).unwrap();
        }
        var.as_detached_tensor()
    };
    let whole = run(&[&(&a + &b).unwrap()]);
    assert_eq!(largest_difference(&run(&[&a, &b]), &whole), 0.0);
}

#[test]
fn an_update_of_slices_is_the_optimisers_step() {
    let adam = AdamConfig {
        weight_decay: 0.1,
        ..AdamConfig::default()
    };
    let var = Var::from_tensor(&tensor("start", 0, DType::F32)).unwrap();
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let mut values = flat(&var);
    let [mut mean, mut square] = [vec![0f32; values.len()], vec![0f32; values.len()]];
    let config = OptimizerConfig::Adam(adam.clone());
    let mut optimizer = Optimizer::new(&config, vec![("x".into(), var.clone())]).unwrap();
    for step in 1..4 {
        let grad = tensor("grad", step, DType::F32);
        optimizer.step(&gradient(&var, &grad), 0.01).unwrap();
        let averages = [&mut mean[..], &mut square];
        adam.update(step, 0.01, &mut values, &flat(&grad), averages);
        assert_eq!(values, flat(&var), "step {step}");
    }
}
