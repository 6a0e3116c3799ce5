//! A table of the paper as one file: its grid, its printed numbers, its claims, its contradictions.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// Every table there is a file for.
const TABLES: &[(&str, &str)] = &[("3", include_str!("../tables/03.toml"))];

/// How the weights that are probed came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Method {
    /// The networks as initialised, frozen: not a row of the paper, the baseline of ours.
    Untrained,
    #[serde(rename = "DINO")]
    Dino,
    #[serde(rename = "CASS")]
    Cass,
    /// All parameters trained on the labels, from the same start as the pretrainings.
    Supervised,
}

/// Which of CASS's two networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    Cnn,
    Vit,
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

/// One cell of a table: a mean over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CellId {
    pub method: Method,
    pub arm: Arm,
    /// Labelled share of the training images, in percent.
    pub percent: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    pub number: String,
    pub title: String,
    /// The `--data` name.
    pub data: String,
    /// Training and test images, as the paper counts them.
    pub images: [u64; 2],
    /// Key of the headline metric in `metrics.json`.
    pub metric: String,
    pub metric_title: String,
    pub percent: Vec<u32>,
    #[serde(rename = "row")]
    pub rows: Vec<Row>,
    #[serde(rename = "claim")]
    pub claims: Vec<Claim>,
    #[serde(default, rename = "contradiction")]
    pub contradictions: Vec<Contradiction>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub method: Method,
    pub arm: Arm,
    /// The paper's name of the network.
    pub backbone: String,
    pub printed: Vec<Printed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    pub text: String,
    pub source: String,
    /// Holds if each of these does.
    #[serde(default)]
    pub all: Vec<Comparison>,
    /// Holds if no pretraining by this method ends with collapsed features.
    pub never_collapses: Option<Method>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contradiction {
    pub text: String,
}

/// A published number as printed, and read: `**0.9909± 0.0032**` is bold 0.9909 ± 0.0032.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Printed {
    pub text: String,
    pub mean: f64,
    pub std: f64,
    pub bold: bool,
}

impl TryFrom<String> for Printed {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        let inner = text.strip_prefix("**").and_then(|t| t.strip_suffix("**"));
        let (mean, std) = inner
            .unwrap_or(&text)
            .split_once('±')
            .with_context(|| format!("`{text}` is not `mean±deviation`"))?;
        let number = |part: &str| -> Result<f64> {
            part.trim()
                .parse()
                .with_context(|| format!("`{part}` in `{text}` is not a number"))
        };
        Ok(Printed {
            mean: number(mean)?,
            std: number(std)?,
            bold: inner.is_some(),
            text,
        })
    }
}

/// `METHOD SIDE PERCENT > METHOD SIDE PERCENT`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Comparison {
    pub text: String,
    pub larger: Term,
    pub smaller: Term,
}

/// One side of a [`Comparison`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    pub method: Method,
    pub side: Side,
    pub percent: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Side {
    Arm(Arm),
    /// Mean of both arms.
    Mean,
    /// |CNN - Transformer|.
    Gap,
}

impl Term {
    /// Its value, given the value of a cell.
    pub fn value(self, cell: impl Fn(CellId) -> Option<f64>) -> Option<f64> {
        let at = |arm| {
            cell(CellId {
                method: self.method,
                arm,
                percent: self.percent,
            })
        };
        Some(match self.side {
            Side::Arm(arm) => at(arm)?,
            Side::Mean => (at(Arm::Cnn)? + at(Arm::Vit)?) / 2.0,
            Side::Gap => (at(Arm::Cnn)? - at(Arm::Vit)?).abs(),
        })
    }
}

impl FromStr for Term {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut words = text.split_whitespace();
        let (Some(method), Some(side), Some(percent), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            bail!("`{text}` is not `METHOD SIDE PERCENT`");
        };
        Ok(Term {
            method: match method {
                "CASS" => Method::Cass,
                "DINO" => Method::Dino,
                "Supervised" => Method::Supervised,
                "Untrained" => Method::Untrained,
                _ => bail!("`{method}` in `{text}` is no method"),
            },
            side: match side {
                "cnn" => Side::Arm(Arm::Cnn),
                "vit" => Side::Arm(Arm::Vit),
                "mean" => Side::Mean,
                "gap" => Side::Gap,
                _ => bail!("`{side}` in `{text}` is neither cnn, vit, mean nor gap"),
            },
            percent: percent
                .strip_suffix('%')
                .and_then(|p| p.parse().ok())
                .with_context(|| format!("`{percent}` in `{text}` is no percentage"))?,
        })
    }
}

impl TryFrom<String> for Comparison {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        let (larger, smaller) = text
            .split_once('>')
            .with_context(|| format!("`{text}` compares nothing: expected `A > B`"))?;
        Ok(Comparison {
            larger: larger.parse()?,
            smaller: smaller.parse()?,
            text,
        })
    }
}

impl Table {
    /// The table of that number; `3` and `03` are the same.
    pub fn find(number: &str) -> Result<Table> {
        let wanted = number.trim_start_matches('0');
        let Some((_, text)) = TABLES.iter().find(|(number, _)| *number == wanted) else {
            let available: Vec<_> = TABLES.iter().map(|(number, _)| *number).collect();
            bail!(
                "failed to find table {number}: available: {}",
                available.join(", ")
            );
        };
        Table::parse(text).with_context(|| format!("failed to read table {number}"))
    }

    fn parse(text: &str) -> Result<Table> {
        let table: Table = toml::from_str(text)?;
        for (index, row) in table.rows.iter().enumerate() {
            let name = format!("row {} {}", row.method, row.arm);
            ensure!(
                row.printed.len() == table.percent.len(),
                "{name} has {} numbers, expected {} (one a column of `percent`)",
                row.printed.len(),
                table.percent.len(),
            );
            ensure!(
                table.rows[..index]
                    .iter()
                    .all(|other| (other.method, other.arm) != (row.method, row.arm)),
                "{name} stands there twice",
            );
        }
        for claim in &table.claims {
            ensure!(
                claim.all.is_empty() == claim.never_collapses.is_some(),
                "claim `{}` needs either `all` or `never_collapses`",
                claim.text,
            );
            for term in claim.all.iter().flat_map(|c| [c.larger, c.smaller]) {
                ensure!(
                    term.value(|id| table.printed(id).map(|p| p.mean)).is_some(),
                    "claim `{}` names a cell that the table has not",
                    claim.text,
                );
            }
        }
        Ok(table)
    }

    /// What the paper printed in a cell.
    pub fn printed(&self, id: CellId) -> Option<&Printed> {
        let column = self.percent.iter().position(|&p| p == id.percent)?;
        let row = self
            .rows
            .iter()
            .find(|row| (row.method, row.arm) == (id.method, id.arm))?;
        row.printed.get(column)
    }

    /// The paper's name of the network in an arm.
    pub fn backbone(&self, arm: Arm) -> &str {
        self.rows
            .iter()
            .find(|row| row.arm == arm)
            .map_or("", |row| &row.backbone)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Method::Untrained => "Untrained",
            Method::Dino => "DINO",
            Method::Cass => "CASS",
            Method::Supervised => "Supervised",
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_file_reads() {
        for (number, text) in TABLES {
            let table = Table::parse(text).unwrap();
            assert_eq!(&table.number, number);
        }
        assert!(Table::find("03").is_ok());
        let error = Table::find("99").err().unwrap().to_string();
        assert!(
            error.contains("99") && error.contains("available: 3"),
            "{error}"
        );
    }

    #[test]
    fn mistakes_in_a_table_file_are_named() {
        let good = TABLES[0].1;
        for (from, to, expected) in [
            (
                "percent = [1, 10, 100]",
                "percent = [1, 10]",
                "row DINO cnn has 3 numbers",
            ),
            ("arm = \"vit\"", "arm = \"cnn\"", "stands there twice"),
            ("0.52±0.018", "0.52", "not `mean±deviation`"),
            ("CASS mean 1%", "CASS both 1%", "neither cnn, vit"),
            ("CASS mean 1%", "CASS mean 2%", "names a cell"),
            ("\ntitle =", "\ntitel =", "unknown field `titel`"),
        ] {
            assert!(good.contains(from), "{from}");
            let error = format!("{:#}", Table::parse(&good.replace(from, to)).err().unwrap());
            assert!(error.contains(expected), "{from} -> {to}: {error}");
        }
    }

    #[test]
    fn printed_numbers_are_the_papers() {
        let paper = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/paper/cass.md");
        let Ok(paper) = std::fs::read_to_string(paper) else {
            eprintln!("skipped: the paper's text is not beside the workspace");
            return;
        };
        let lines: Vec<&str> = paper
            .lines()
            .skip_while(|line| !line.starts_with("Table 3:"))
            .skip_while(|line| !line.starts_with("DINO"))
            .take(6)
            .collect();
        let table = Table::find("3").unwrap();
        assert_eq!(lines.len(), table.rows.len());
        for (line, row) in lines.iter().zip(&table.rows) {
            let printed: Vec<_> = row.printed.iter().map(|p| p.text.as_str()).collect();
            let ours = format!("{}\t{}\t{}", row.method, row.backbone, printed.join("\t"));
            let theirs = line.replace("<b>", "**").replace("</b>", "**");
            assert_eq!(ours, theirs.trim_end());
        }
    }

    #[test]
    fn printed_spacing_and_bold_are_kept() {
        let printed = Printed::try_from("**0.9909± 0.0032**".to_owned()).unwrap();
        assert_eq!(
            (printed.mean, printed.std, printed.bold),
            (0.9909, 0.0032, true)
        );
    }
}
