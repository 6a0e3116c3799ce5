use serde::{Deserialize, Serialize};

/// Which optimiser, with its arguments under torch's names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum OptimizerConfig {
    /// `torch.optim.Adam`.
    Adam(AdamConfig),
    /// `torch.optim.SGD`.
    Sgd(SgdConfig),
}

/// Arguments of `torch.optim.Adam`, its defaults included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamConfig {
    /// Learning rate that the schedule starts from.
    pub lr: f64,
    /// Decay of the moving averages of the gradient and of its square, each in [0, 1).
    pub betas: [f64; 2],
    /// Added to the denominator.
    pub eps: f64,
    /// L2 penalty, added to the gradient (not decoupled).
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }
}

/// Arguments of `torch.optim.SGD`, its defaults included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SgdConfig {
    /// Learning rate that the schedule starts from.
    pub lr: f64,
    /// 0 for none.
    pub momentum: f64,
    /// Dampening of the momentum, from the second step on.
    pub dampening: f64,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
    /// Nesterov's momentum; needs `momentum` > 0 and `dampening` = 0.
    pub nesterov: bool,
}

impl Default for SgdConfig {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            momentum: 0.0,
            dampening: 0.0,
            weight_decay: 0.0,
            nesterov: false,
        }
    }
}

impl OptimizerConfig {
    /// Learning rate that the schedule starts from.
    pub fn lr(&self) -> f64 {
        match self {
            Self::Adam(adam) => adam.lr,
            Self::Sgd(sgd) => sgd.lr,
        }
    }

    /// Changes the learning rate that the schedule starts from.
    pub fn set_lr(&mut self, lr: f64) {
        match self {
            Self::Adam(adam) => adam.lr = lr,
            Self::Sgd(sgd) => sgd.lr = lr,
        }
    }

    /// The same optimiser without weight decay.
    pub(crate) fn without_decay(&self) -> Self {
        match self {
            Self::Adam(adam) => Self::Adam(AdamConfig {
                weight_decay: 0.0,
                ..adam.clone()
            }),
            Self::Sgd(sgd) => Self::Sgd(SgdConfig {
                weight_decay: 0.0,
                ..sgd.clone()
            }),
        }
    }

    /// What torch calls the buffers kept for each parameter, each of the parameter's size.
    pub fn state_names(&self) -> &'static [&'static str] {
        match self {
            Self::Adam(_) => &["exp_avg", "exp_avg_sq"],
            Self::Sgd(sgd) if sgd.momentum != 0.0 => &["momentum_buffer"],
            Self::Sgd(_) => &[],
        }
    }

    /// Every argument as (name, value, what it must be, whether it is).
    pub(crate) fn checks(&self) -> Vec<(&'static str, f64, &'static str, bool)> {
        let not_negative = |name, x: f64| (name, x, "a number from 0", x.is_finite() && x >= 0.0);
        let share = |name, x: f64| {
            (
                name,
                x,
                "a number from 0 to below 1",
                (0.0..1.0).contains(&x),
            )
        };
        let mut checks = vec![not_negative("lr", self.lr())];
        match self {
            Self::Adam(adam) => checks.extend([
                share("betas.0", adam.betas[0]),
                share("betas.1", adam.betas[1]),
                not_negative("eps", adam.eps),
                not_negative("weight_decay", adam.weight_decay),
            ]),
            Self::Sgd(sgd) => checks.extend([
                share("momentum", sgd.momentum),
                not_negative("dampening", sgd.dampening),
                not_negative("weight_decay", sgd.weight_decay),
                (
                    "momentum",
                    sgd.momentum,
                    "above 0, with no dampening, for nesterov",
                    !sgd.nesterov || (sgd.momentum > 0.0 && sgd.dampening == 0.0),
                ),
            ]),
        }
        checks
    }
}
