//! What a table may train, and what `cass pretrain` calls it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How the weights that are probed came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Method {
    /// The networks as initialised, frozen: not a row of the paper, the baseline of ours.
    Untrained,
    #[serde(rename = "DINO", alias = "dino")]
    Dino,
    #[serde(rename = "CASS", alias = "cass")]
    Cass,
    /// All parameters trained on the labels, from the same start as the pretrainings.
    Supervised,
    /// Beyond the paper, as all that follow.
    #[serde(rename = "VICReg", alias = "vicreg")]
    Vicreg,
    #[serde(rename = "SimSiam", alias = "simsiam")]
    Simsiam,
    #[serde(rename = "BYOL", alias = "byol")]
    Byol,
    #[serde(rename = "CASS-contrast", alias = "cass-contrast")]
    Contrast,
}

/// What a pretraining by a method is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pretraining {
    /// `cass pretrain --method`.
    pub name: &'static str,
    /// Whether it trains two networks at once, rather than one.
    pub pair: bool,
    /// Passes that go back, too, of each image through each network.
    pub trained: f64,
    /// Passes that do not.
    pub followed: f64,
}

impl Method {
    /// Every method that a table may name.
    const ALL: [Method; 8] = [
        Method::Untrained,
        Method::Dino,
        Method::Cass,
        Method::Supervised,
        Method::Vicreg,
        Method::Simsiam,
        Method::Byol,
        Method::Contrast,
    ];

    /// What pretrains by it; none where nothing does. `cass` tests that it says the same.
    pub fn pretraining(self) -> Option<Pretraining> {
        let (name, pair, trained, followed) = match self {
            Method::Untrained | Method::Supervised => return None,
            Method::Cass => ("cass", true, 1.0, 0.0),
            Method::Contrast => ("cass-contrast", true, 2.0, 0.0),
            // Two local crops forward and back, two global ones forward.
            Method::Dino => ("dino", false, 2.0, 2.0),
            Method::Vicreg => ("vicreg", false, 2.0, 0.0),
            Method::Simsiam => ("simsiam", false, 2.0, 0.0),
            Method::Byol => ("byol", false, 2.0, 2.0),
        };
        Some(Pretraining {
            name,
            pair,
            trained,
            followed,
        })
    }

    /// Whether it pretrains two networks at once.
    pub fn is_pair(self) -> bool {
        self.pretraining()
            .is_some_and(|pretraining| pretraining.pair)
    }

    /// What a reader calls it.
    pub fn title(self) -> &'static str {
        match self {
            Method::Untrained => "Untrained",
            Method::Dino => "DINO",
            Method::Cass => "CASS",
            Method::Supervised => "Supervised",
            Method::Vicreg => "VICReg",
            Method::Simsiam => "SimSiam",
            Method::Byol => "BYOL",
            Method::Contrast => "CASS-contrast",
        }
    }
}

/// What tables may pretrain by: the names that `cass pretrain` has for it, and whether two networks are trained at
/// once.
pub fn pretrainings() -> Vec<(&'static str, bool)> {
    let methods = Method::ALL.into_iter().filter_map(Method::pretraining);
    methods.map(|method| (method.name, method.pair)).collect()
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.title())
    }
}
