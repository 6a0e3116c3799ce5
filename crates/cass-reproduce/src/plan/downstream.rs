//! What is trained on the labels, and by whose settings.

use crate::table::Method;
use serde::{Deserialize, Serialize};

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// What the text says.
    Paper,
    /// What the published notebooks do.
    Notebook,
}

impl Protocol {
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Paper => "paper",
            Protocol::Notebook => "notebook",
        }
    }

    /// The downstream step its numbers are of.
    pub fn headline(self) -> Downstream {
        match self {
            Protocol::Paper => Downstream::Linear,
            Protocol::Notebook => Downstream::Finetune,
        }
    }

    /// The notebooks fix 77; the paper names no seeds.
    pub fn first_seed(self) -> u64 {
        match self {
            Protocol::Paper => 0,
            Protocol::Notebook => 77,
        }
    }
}

/// What is trained on the labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Downstream {
    /// The paper's linear classifier on frozen features: so many epochs of Adam.
    Linear,
    /// A logistic regression on frozen features, to its optimum.
    Logistic,
    /// Nothing: the nearest labelled images vote.
    Knn,
    /// All parameters.
    Finetune,
}

impl Downstream {
    pub fn name(self) -> &'static str {
        match self {
            Downstream::Linear => "linear",
            Downstream::Logistic => "logistic",
            Downstream::Knn => "knn",
            Downstream::Finetune => "finetune",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Downstream::Linear => "Frozen features, linear classifier",
            Downstream::Logistic => "Frozen features, logistic regression",
            Downstream::Knn => "Frozen features, nearest neighbours",
            Downstream::Finetune => "All parameters fine-tuned",
        }
    }

    /// What heads a column of it.
    pub fn short(self) -> &'static str {
        match self {
            Downstream::Linear => "paper's probe",
            Downstream::Logistic => "logistic",
            Downstream::Knn => "kNN",
            Downstream::Finetune => "fine-tuned",
        }
    }

    /// Whether the paper's numbers are of this kind: the other two are ours.
    pub fn is_papers(self) -> bool {
        matches!(self, Downstream::Linear | Downstream::Finetune)
    }

    /// Whether a method has cells of this kind. Networks as initialised, fine-tuned, are supervised training. That
    /// trains all parameters by definition, and stands where the paper's own numbers do.
    pub fn shows(self, method: Method) -> bool {
        match method {
            Method::Untrained => self != Downstream::Finetune,
            Method::Supervised => self.is_papers(),
            _ => true,
        }
    }

    /// How the cells of a method are really trained.
    pub(super) fn of(self, method: Method) -> Downstream {
        match method {
            Method::Supervised => Downstream::Finetune,
            _ => self,
        }
    }
}
