//! What a plan and a report have to know of the images.

use crate::table::DataSet;
use serde::{Deserialize, Serialize};

/// What a report has to know of the images.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Facts {
    /// Changes with the images: part of what decides a run.
    pub fingerprint: String,
    /// Training and test where they are given apart, else all.
    pub images: Vec<u64>,
    /// Drawn, not taken of patients.
    pub phantoms: bool,
    /// The root as the user gave it.
    pub root: String,
}

impl Facts {
    /// Images for training, validation and test: a tenth of what is given for training is kept for validation,
    /// and where no test images are given, the parts are 80, 10 and 10 %.
    pub fn parts(&self) -> [f64; 3] {
        match self.images.as_slice() {
            &[train, test] => [0.9 * train as f64, 0.1 * train as f64, test as f64],
            images => {
                let all = images.iter().sum::<u64>() as f64;
                [0.8 * all, 0.1 * all, 0.1 * all]
            }
        }
    }

    /// Facts of as many images as the paper has, which exist nowhere: for an estimate.
    pub fn counted(set: DataSet) -> Facts {
        Facts {
            fingerprint: "the paper's".to_owned(),
            images: set.images().to_vec(),
            phantoms: false,
            root: String::new(),
        }
    }
}
