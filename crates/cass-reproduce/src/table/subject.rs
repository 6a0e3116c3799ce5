//! What a cell is about, in the paper's terms: the same at every scale and on every machine.

use super::Method;
use crate::networks::Network;
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which of CASS's two networks. Where a table pairs two CNNs or two Transformers, only the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    Cnn,
    Vit,
}

/// The paper's data sets, by the `--data` name; or one's own images, which no table names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DataSet {
    #[serde(rename = "brain-mri")]
    BrainMri,
    #[serde(rename = "isic2019")]
    Isic2019,
    #[serde(rename = "biopsies")]
    Biopsies,
    #[serde(rename = "own")]
    Own,
}

/// Weights before anything is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weights {
    Random,
    /// ImageNet's, by timm's name.
    Hub,
}

/// What CASS's augmentation has beyond appendix E.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Augment {
    #[serde(rename = "paper")]
    Paper,
    #[serde(rename = "solarize")]
    Solarize,
    #[serde(rename = "blur")]
    Blur,
    #[serde(rename = "blur+solarize")]
    BlurSolarize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    Adam,
    Sgd,
}

/// What is read off the runs of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// The table's metric, of the probe.
    Score,
    /// Wall time of pretraining.
    Hours,
}

/// All that tells one cell from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    pub data: DataSet,
    pub method: Method,
    pub arm: Arm,
    /// Labelled share of the training images.
    pub percent: u32,
    pub cnn: Network,
    pub vit: Network,
    pub batch: u32,
    pub epochs: u32,
    pub augment: Augment,
    pub cnn_optimizer: Optimizer,
    pub weights: Weights,
    /// Settings of the pretraining's recipe that are not the method's own, as `field=value`.
    pub set: Vec<String>,
    /// What a method with other settings is called: a row beyond the paper.
    pub label: Option<String>,
    pub measure: Measure,
}

impl Subject {
    /// What the method is called: its label, where it has one.
    pub fn method_name(&self) -> String {
        self.label
            .clone()
            .unwrap_or_else(|| self.method.to_string())
    }

    /// The network in an arm.
    pub fn network(&self, arm: Arm) -> &Network {
        match arm {
            Arm::Cnn => &self.cnn,
            Arm::Vit => &self.vit,
        }
    }
}

macro_rules! fields {
    ($($name:ident: $kind:ty),* $(,)?) => {
        /// Some of a [`Subject`]'s fields: what a table, a row or a column sets.
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Fields {
            $(pub $name: Option<$kind>,)*
        }

        impl Fields {
            /// The fields of both; none may be set by both.
            pub fn and(&self, other: &Fields) -> Result<Fields> {
                Ok(Fields {
                    $($name: match (&self.$name, &other.$name) {
                        (Some(_), Some(_)) => bail!("`{}` is set twice for it", stringify!($name)),
                        (one, two) => one.clone().or_else(|| two.clone()),
                    },)*
                })
            }
        }
    };
}

fields! {
    data: DataSet,
    method: Method,
    arm: Arm,
    percent: u32,
    cnn: Network,
    vit: Network,
    batch: u32,
    epochs: u32,
    augment: Augment,
    cnn_optimizer: Optimizer,
    weights: Weights,
    set: Vec<String>,
    label: String,
    measure: Measure,
}

impl Fields {
    /// What is not set is the paper's standard (section 4.1).
    pub fn subject(self) -> Result<Subject> {
        let network = |name: &str| Network::try_from(name.to_owned());
        let Some(data) = self.data else {
            bail!("`data` is set neither for it nor for its row, column or table");
        };
        if data == DataSet::Own {
            bail!(
                "`data` is own; expected brain-mri, isic2019 or biopsies: one's own images are for `cass study`"
            );
        }
        let measure = self.measure.unwrap_or(Measure::Score);
        if measure == Measure::Score && self.arm.is_none() {
            bail!("`arm` is set neither for it nor for its row, column or table");
        }
        let method = self.method.unwrap_or(Method::Cass);
        if measure == Measure::Hours && method.pretraining().is_none() {
            bail!("`measure` is hours of pretraining, but {method} has none");
        }
        let percent = self.percent.unwrap_or(100);
        if !(1..=100).contains(&percent) {
            bail!("`percent` is {percent}; expected 1 to 100");
        }
        let (batch, epochs) = (self.batch.unwrap_or(16), self.epochs.unwrap_or(100));
        if batch < 2 || epochs < 1 {
            bail!("`batch` is {batch} and `epochs` {epochs}; expected at least 2 and 1");
        }
        let set = self.set.unwrap_or_default();
        if !set.is_empty() && method.pretraining().is_none() {
            bail!("`set` is of a pretraining's recipe, but {method} has none");
        }
        if let Some(wrong) = set.iter().find(|one| !one.contains('=')) {
            bail!("`set` holds `{wrong}`; expected field=value");
        }
        if self
            .label
            .as_ref()
            .is_some_and(|label| label.trim().is_empty())
        {
            bail!("`label` is empty; expected a name");
        }
        Ok(Subject {
            data,
            method,
            arm: self.arm.unwrap_or(Arm::Cnn),
            percent,
            cnn: self.cnn.map_or_else(|| network("resnet50.a1_in1k"), Ok)?,
            vit: self
                .vit
                .map_or_else(|| network("vit_base_patch16_384.augreg_in21k_ft_in1k"), Ok)?,
            batch,
            epochs,
            augment: self.augment.unwrap_or(Augment::Paper),
            cnn_optimizer: self.cnn_optimizer.unwrap_or(Optimizer::Adam),
            weights: self.weights.unwrap_or(Weights::Hub),
            set,
            label: self.label,
            measure,
        })
    }
}

impl Arm {
    pub const BOTH: [Arm; 2] = [Arm::Cnn, Arm::Vit];

    /// What a reader calls it.
    pub fn title(self) -> &'static str {
        match self {
            Arm::Cnn => "CNN",
            Arm::Vit => "Transformer",
        }
    }
}

impl DataSet {
    /// The `--data` name.
    pub fn name(self) -> &'static str {
        match self {
            DataSet::BrainMri => "brain-mri",
            DataSet::Isic2019 => "isic2019",
            DataSet::Biopsies => "biopsies",
            DataSet::Own => "own",
        }
    }

    /// Images as the paper counts them: training and test where they are given apart, else all.
    pub fn images(self) -> &'static [u64] {
        match self {
            DataSet::BrainMri => &[5712, 1310],
            DataSet::Isic2019 => &[25_331],
            DataSet::Biopsies => &[198],
            DataSet::Own => &[],
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Arm::Cnn => "cnn",
            Arm::Vit => "vit",
        })
    }
}

impl fmt::Display for DataSet {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}
