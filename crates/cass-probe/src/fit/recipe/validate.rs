//! What no probe can be, and what this computer cannot do.

use super::{ProbeMode, ProbeRecipe};
use crate::{Error, Result};
use cass_train::memory::network_memory;
use cass_train::methods::FocalForm;

impl ProbeRecipe {
    /// Checks every field.
    ///
    /// # Errors
    /// Naming the first field that no probe can have, its value and what was expected.
    pub fn validate(&self) -> Result<()> {
        cass_run::check_numbers(self)?;
        let check = |field: &str, value: f64, good: bool, expected: &str| {
            if good {
                return Ok(());
            }
            Err(Error::Train(cass_train::Error::Field {
                field: field.into(),
                value: value.to_string(),
                expected: expected.into(),
            }))
        };
        self.normalization.check()?;
        self.as_arm().check_portion("")?;
        let whole = self.train.is_all() && self.layer_decay.is_none() && !self.frozen_statistics;
        if !whole && self.mode != ProbeMode::Finetune {
            return Err(Error::Train(cass_train::Error::Field {
                field: "mode".into(),
                value: self.mode.name().into(),
                expected: "finetune where train, layer_decay or frozen_statistics is set".into(),
            }));
        }
        let val = self.data.val_fraction;
        check("val_fraction", val, val != 0.0, "a share above 0, below 1")?;
        self.data.check()?;
        self.as_arm().check("")?;
        check("epochs", self.epochs as f64, self.epochs > 0, "at least 1")?;
        check("batch", self.batch as f64, self.batch > 1, "at least 2")?;
        check("size", self.size as f64, self.size > 0, "at least 1")?;
        check(
            "augment",
            1.0,
            !self.augment || self.mode == ProbeMode::Linear,
            "false unless the mode is linear: finetune always augments, logistic and knn never",
        )?;
        if let Some(logistic) = &self.logistic {
            let rises = logistic.grid.is_sorted_by(|a, b| a < b);
            let good = |c: &f64| c.is_finite() && *c > 0.0;
            if logistic.grid.is_empty() || !rises || !logistic.grid.iter().all(good) {
                return Err(Error::Train(cass_train::Error::Field {
                    field: "logistic.grid".into(),
                    value: format!("{:?}", logistic.grid),
                    expected: "rising numbers above 0".into(),
                }));
            }
            let tolerance = logistic.tolerance;
            check("logistic.tolerance", tolerance, tolerance > 0.0, "above 0")?;
            let iterations = logistic.iterations;
            check(
                "logistic.iterations",
                iterations as f64,
                iterations > 0,
                "at least 1",
            )?;
        }
        let fits = self.logistic.is_some() == (self.mode == ProbeMode::Logistic);
        if !fits {
            return Err(Error::Train(cass_train::Error::Field {
                field: "logistic".into(),
                value: if self.logistic.is_some() {
                    "a table"
                } else {
                    "nothing"
                }
                .into(),
                expected: "a table under mode logistic, and no other".into(),
            }));
        }
        if self.multi_label && self.loss == FocalForm::Softmax {
            return Err(Error::Train(cass_train::Error::Field {
                field: "loss".into(),
                value: "softmax".into(),
                expected: "sigmoid where an image may be of several classes".into(),
            }));
        }
        Ok(())
    }

    /// Checks that this computer has the memory that the probe takes at the least, before anything of it
    /// is asked for. GPUs say themselves what they lack.
    ///
    /// # Errors
    /// Naming what is needed and what is there; if the network is unknown.
    pub fn expect_memory(&self) -> Result<()> {
        if self.device.starts_with("cuda") || cfg!(feature = "cuda") && self.device == "auto" {
            return Ok(());
        }
        let copies = match self.mode {
            ProbeMode::Finetune => 2 + self.optimizer.state_names().len(),
            _ => 1,
        };
        let bytes = network_memory(&self.network, 1, self.size, copies, self.batch)?;
        Ok(cass_run::expect_memory(bytes)?)
    }
}
