//! What was asked for.

use crate::command::{Choice, Room};
use crate::networks::Network;
use crate::table::Method;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Whether pretraining helps on one's own images, and the network to use, in one command.
///
/// Checks the images, chooses networks, size and epochs that fit the time, pretrains on all images but those that are
/// tested on, compares as-initialised, pretrained and supervised networks by nearest neighbours, logistic regression
/// and fine-tuning with few labels and with all, and writes a report and the best network. However it was stopped, the
/// same command continues.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Images, at any depth.
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// A table of labels for some or all of the images, or by-folder where folders are classes [default: by-folder, if
    /// folders can be classes].
    #[arg(long, value_name = "FILE|by-folder")]
    pub(super) labels: Option<String>,
    /// Labelled images that are tested on and nothing else, such as another hospital's: a folder of classes or a table.
    /// They are never split. Without them a part of DIR is held out, another one for each seed.
    #[arg(long, value_name = "DIR|FILE")]
    pub(super) test: Option<PathBuf>,
    /// The time it may take, as in 30m, 2h or 1h30m.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
    pub(super) budget: f64,
    /// Trainings of each kind: three are the fewest that a verdict can be given from.
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(super) seeds: u64,
    /// Results, report and the network go here.
    #[arg(long, value_name = "OUT", default_value = "study")]
    pub(super) out: PathBuf,
    /// Go on although images are both learned from and tested on.
    #[arg(long)]
    pub(super) accept_leakage: bool,
    /// Print the plan, and start nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) networks: Networks,
    #[command(flatten)]
    pub(super) reading: Reading,
    #[command(flatten)]
    pub(super) room: Room,
    #[command(flatten)]
    pub(super) choice: Choice,
}

const EXAMPLE: &str = "\
Examples:
  cass study scans
  cass study lesions --labels labels.csv --budget 2h --out lesions-study
  cass study scans --test other-hospital --cnn resnet50 --vit vit_small_patch16_224 --weights hub

Exit status: 0 done, 1 a run failed or images are both learned from and tested on, 2 wrong usage or input, 75 another
process works in OUT, 130 stopped by a signal (the same command continues).";

/// The networks, and what they begin from.
#[derive(Clone, PartialEq, Serialize, Deserialize, clap::Args)]
#[command(next_help_heading = "Networks")]
pub struct Networks {
    /// The CNN, by timm's name.
    #[arg(long, value_name = "NAME", default_value = "resnet18", value_parser = network)]
    pub cnn: Network,
    /// The Transformer, by timm's name.
    #[arg(long, value_name = "NAME", default_value = "vit_tiny_patch16_224", value_parser = network)]
    pub vit: Network,
    /// Initial weights of both: hub (ImageNet's or others by the network's name), random, or a file [default: hub where
    /// these are on this computer already, else random].
    #[arg(long, value_name = "WEIGHTS")]
    pub weights: Option<String>,
    /// Initial weights of the CNN, in place of --weights.
    #[arg(long, value_name = "WEIGHTS")]
    pub cnn_weights: Option<String>,
    /// Initial weights of the Transformer, in place of --weights.
    #[arg(long, value_name = "WEIGHTS")]
    pub vit_weights: Option<String>,
    /// What pretrains them: cass-contrast, or cass, guarded against collapse.
    #[arg(long, value_name = "NAME", default_value = "cass-contrast", value_parser = method)]
    #[serde(default = "guarded")]
    pub method: Method,
    /// Height and width of the images the networks see, in pixels [default: what the time allows].
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(16..=1024))]
    pub size: Option<u32>,
    /// Epochs of pretraining [default: what the time allows].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub epochs: Option<u32>,
    /// Epochs of fine-tuning, at most; 0 leaves it out [default: what the time allows].
    #[arg(long, value_name = "N")]
    pub finetune_epochs: Option<u32>,
}

/// Reads what pretrains.
fn method(name: &str) -> Result<Method, String> {
    let known = [Method::Cass, Method::Contrast];
    let found = known.into_iter().find(|method| {
        let pretraining = method.pretraining();
        pretraining.is_some_and(|pretraining| pretraining.name == name)
    });
    found.ok_or_else(|| format!("{name} is no method of a study: expected cass or cass-contrast"))
}

/// What pretrained before there was a choice.
pub fn guarded() -> Method {
    Method::Cass
}

/// How tables and images are read: as `cass data check` takes it.
#[derive(Clone, PartialEq, Serialize, Deserialize, clap::Args)]
#[command(next_help_heading = "Images")]
pub struct Reading {
    /// Columns of the table, where their names do not tell: path=NAME, label=NAME, group=NAME and so on.
    #[arg(long, value_name = "WHAT=NAME")]
    pub columns: Option<String>,
    /// Column of the table that names the patient, or other group that no split divides.
    #[arg(long, value_name = "NAME")]
    pub group_column: Option<String>,
    /// A regular expression whose first group is the patient in a file's name or path.
    #[arg(long, value_name = "REGEX")]
    pub group_by: Option<String>,
    /// Leave out files and folders of such names. May be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,
    /// How more than 8 bits become 8: high-byte, min-max, percentile:LOW,HIGH, bits:N or window:CENTER,WIDTH.
    #[arg(long, value_name = "HOW")]
    pub levels: Option<String>,
    /// Pages or channels of TIFF files.
    #[arg(long, value_name = "WHICH")]
    pub pages: Option<String>,
    /// Which frame of DICOM files: first, middle or a number from 1.
    #[arg(long, value_name = "WHICH")]
    pub frame: Option<String>,
    /// Leave out images that cannot be decoded, and list them.
    #[arg(long)]
    pub skip_bad: bool,
}

impl Networks {
    /// What the two networks begin from; `usual` where nothing is said.
    pub fn weights(&self, usual: &str) -> [String; 2] {
        [&self.cnn_weights, &self.vit_weights].map(|own| {
            let said = own.as_ref().or(self.weights.as_ref());
            said.map_or_else(|| usual.to_owned(), |text| absolute(text))
        })
    }
}

/// A file of weights by its absolute path: runs are started from anywhere.
fn absolute(text: &str) -> String {
    let path = std::path::Path::new(text);
    match std::path::absolute(path) {
        Ok(path_from_root) if path.exists() => path_from_root.display().to_string(),
        _ => text.to_owned(),
    }
}

impl Reading {
    /// The flags that decide which images there are and whose.
    pub fn of_tables(&self) -> Vec<String> {
        let one = [
            ("--columns", &self.columns),
            ("--group-column", &self.group_column),
            ("--group-by", &self.group_by),
        ];
        let mut words = given(&one);
        for pattern in &self.exclude {
            words.extend(["--exclude".to_owned(), pattern.clone()]);
        }
        words
    }

    /// The flags that decide how a file becomes pixels.
    pub fn of_pixels(&self) -> Vec<String> {
        let mut words = given(&[
            ("--levels", &self.levels),
            ("--pages", &self.pages),
            ("--frame", &self.frame),
        ]);
        words.extend(self.skip_bad.then(|| "--skip-bad".to_owned()));
        words
    }
}

fn given(flags: &[(&str, &Option<String>)]) -> Vec<String> {
    let words = flags.iter().filter_map(|(flag, value)| {
        let value = value.as_ref()?;
        Some([(*flag).to_owned(), value.clone()])
    });
    words.flatten().collect()
}

fn network(name: &str) -> Result<Network, String> {
    Network::try_from(name.to_owned()).map_err(|error| error.to_string())
}

/// `90s`, `30m`, `2h`, `1h30m`, in seconds.
fn seconds(text: &str) -> Result<f64, String> {
    let wrong = || "expected a time such as 30m, 2h or 1h30m".to_owned();
    let (mut sum, mut digits) = (0.0, String::new());
    for letter in text.trim().chars() {
        let unit = match letter {
            '0'..='9' | '.' => {
                digits.push(letter);
                continue;
            }
            's' => 1.0,
            'm' => 60.0,
            'h' => 3600.0,
            'd' => 86_400.0,
            _ => return Err(wrong()),
        };
        let number: f64 = std::mem::take(&mut digits).parse().map_err(|_| wrong())?;
        sum += number * unit;
    }
    let whole = digits.is_empty() && sum.is_finite() && sum > 0.0;
    whole.then_some(sum).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_units() {
        assert_eq!(seconds("1h30m"), Ok(5400.0));
        assert_eq!(seconds("90s"), Ok(90.0));
        assert_eq!(seconds("0.5h"), Ok(1800.0));
        for wrong in ["", "30", "h", "1x", "-1h", "1h30", "0m"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
