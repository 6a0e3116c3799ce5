//! Statements over cells: `mean(CASS cnn 1%, CASS vit 1%) - 0.5 * 2/DINO cnn 10% >= 0.02`.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What can be computed of cells.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Number(f64),
    Cell(CellName),
    Call(Function, Vec<Expr>),
    Pair(Box<Expr>, char, Box<Expr>),
}

/// `ROW COLUMN`, or `TABLE/ROW COLUMN` of another table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellName {
    pub table: Option<String>,
    pub cell: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    Mean,
    /// The argument of the largest mean.
    Best,
    /// Distance of two.
    Gap,
}

/// Two expressions compared.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Comparison {
    pub text: String,
    pub left: Expr,
    pub relation: Relation,
    pub right: Expr,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Relation {
    Greater,
    AtLeast,
    /// At most so far apart.
    Within(f64),
}

/// A value by seed, or one that does not depend on it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Constant(f64),
    BySeed(BTreeMap<u64, f64>),
}

impl Expr {
    /// Value by seed, given the cells'; `None` if one is missing.
    pub fn value(&self, cell: &dyn Fn(&CellName) -> Option<BTreeMap<u64, f64>>) -> Option<Value> {
        match self {
            Expr::Number(number) => Some(Value::Constant(*number)),
            Expr::Cell(name) => cell(name).map(Value::BySeed),
            Expr::Pair(left, operator, right) => {
                let (left, right) = (left.value(cell)?, right.value(cell)?);
                Some(left.with(&right, |a, b| match operator {
                    '+' => a + b,
                    '-' => a - b,
                    '*' => a * b,
                    _ => a / b,
                }))
            }
            Expr::Call(function, arguments) => {
                let values: Option<Vec<Value>> = arguments
                    .iter()
                    .map(|argument| argument.value(cell))
                    .collect();
                let values = values?;
                let first = values.first()?.clone();
                let rest = &values[1..];
                Some(match function {
                    Function::Mean => {
                        let sum = rest.iter().fold(first, |sum, v| sum.with(v, |a, b| a + b));
                        sum.with(&Value::Constant(values.len() as f64), |a, n| a / n)
                    }
                    Function::Gap => first.with(rest.first()?, |a, b| (a - b).abs()),
                    Function::Best => {
                        let larger = |best: Value, v: &Value| {
                            if v.mean() > best.mean() {
                                v.clone()
                            } else {
                                best
                            }
                        };
                        rest.iter().fold(first, larger)
                    }
                })
            }
        }
    }

    /// Every cell in it.
    pub fn cells(&self) -> Vec<&CellName> {
        match self {
            Expr::Number(_) => Vec::new(),
            Expr::Cell(name) => vec![name],
            Expr::Call(_, arguments) => arguments.iter().flat_map(Expr::cells).collect(),
            Expr::Pair(left, _, right) => [left.cells(), right.cells()].concat(),
        }
    }
}

impl Value {
    /// Seed by seed, over those that both have.
    pub fn with(&self, other: &Value, f: impl Fn(f64, f64) -> f64) -> Value {
        match (self, other) {
            (Value::Constant(a), Value::Constant(b)) => Value::Constant(f(*a, *b)),
            (Value::Constant(a), Value::BySeed(b)) => {
                Value::BySeed(b.iter().map(|(&seed, &b)| (seed, f(*a, b))).collect())
            }
            (Value::BySeed(a), Value::Constant(b)) => {
                Value::BySeed(a.iter().map(|(&seed, &a)| (seed, f(a, *b))).collect())
            }
            (Value::BySeed(a), Value::BySeed(b)) => Value::BySeed(
                a.iter()
                    .filter_map(|(seed, &a)| Some((*seed, f(a, *b.get(seed)?))))
                    .collect(),
            ),
        }
    }

    /// Number of each seed.
    pub fn values(&self) -> Vec<f64> {
        match self {
            Value::Constant(value) => vec![*value],
            Value::BySeed(values) => values.values().copied().collect(),
        }
    }

    pub fn mean(&self) -> f64 {
        let values = self.values();
        values.iter().sum::<f64>() / values.len() as f64
    }
}

impl Comparison {
    /// Left minus right.
    pub fn difference(
        &self,
        cell: &dyn Fn(&CellName) -> Option<BTreeMap<u64, f64>>,
    ) -> Option<Value> {
        let (left, right) = (self.left.value(cell)?, self.right.value(cell)?);
        Some(left.with(&right, |a, b| a - b))
    }

    pub fn cells(&self) -> Vec<&CellName> {
        [self.left.cells(), self.right.cells()].concat()
    }
}

impl Relation {
    /// Whether a difference satisfies it, rounding aside.
    pub fn holds(self, difference: f64) -> bool {
        const ROUNDING: f64 = 1e-9;
        match self {
            Relation::Greater => difference > 0.0,
            Relation::AtLeast => difference >= -ROUNDING,
            Relation::Within(most) => difference.abs() <= most + ROUNDING,
        }
    }
}

impl std::str::FromStr for Expr {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Expr> {
        let mut parser = Parser::new(text);
        let expr = parser.sum(0)?;
        parser.end()?;
        Ok(expr)
    }
}

impl TryFrom<String> for Comparison {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Comparison> {
        let mut parser = Parser::new(&text);
        let left = parser.sum(0)?;
        let Some(relation) = parser.next() else {
            bail!("`{text}` compares nothing: expected `A > B`, `A >= B` or `A ≈ B ± C`");
        };
        let right = parser.sum(0)?;
        let relation =
            match relation.as_str() {
                ">" => Relation::Greater,
                ">=" => Relation::AtLeast,
                "≈" => {
                    let tolerance = (parser.next().as_deref() == Some("±"))
                        .then(|| parser.next()?.parse::<f64>().ok())
                        .flatten()
                        .filter(|tolerance| *tolerance > 0.0);
                    Relation::Within(tolerance.with_context(|| {
                        format!("`{text}` lacks how near: expected `A ≈ B ± C`")
                    })?)
                }
                other => bail!("`{other}` in `{text}` is neither >, >= nor ≈"),
            };
        parser.end()?;
        Ok(Comparison {
            left,
            relation,
            right,
            text,
        })
    }
}

/// Reads tokens from the left. An operator stands between spaces, so that names may hold its sign.
struct Parser<'a> {
    text: &'a str,
    tokens: std::iter::Peekable<std::vec::IntoIter<String>>,
}

impl<'a> Parser<'a> {
    const OPERATORS: [&'static str; 8] = ["+", "-", "*", "/", ">", ">=", "≈", "±"];
    const DEEPEST: usize = 16;

    fn new(text: &'a str) -> Parser<'a> {
        let spaced: String = text
            .chars()
            .map(|c| match c {
                '(' | ')' | ',' => format!(" {c} "),
                c => c.to_string(),
            })
            .collect();
        let mut tokens: Vec<String> = Vec::new();
        let mut in_name = false;
        for word in spaced.split_whitespace() {
            let sign = Self::OPERATORS.contains(&word) || ["(", ")", ","].contains(&word);
            match tokens.last_mut() {
                Some(name) if in_name && !sign => *name = format!("{name} {word}"),
                _ => tokens.push(word.to_owned()),
            }
            in_name = !sign;
        }
        Parser {
            text,
            tokens: tokens.into_iter().peekable(),
        }
    }

    fn next(&mut self) -> Option<String> {
        self.tokens.next()
    }

    fn next_of(&mut self, signs: &[char]) -> Option<char> {
        let token = self.tokens.next_if(|token| {
            let mut chars = token.chars();
            chars.next().is_some_and(|c| signs.contains(&c)) && chars.next().is_none()
        })?;
        token.chars().next()
    }

    fn sum(&mut self, depth: usize) -> Result<Expr> {
        let mut left = self.product(depth)?;
        while let Some(sign) = self.next_of(&['+', '-']) {
            left = Expr::Pair(Box::new(left), sign, Box::new(self.product(depth)?));
        }
        Ok(left)
    }

    fn product(&mut self, depth: usize) -> Result<Expr> {
        let mut left = self.factor(depth)?;
        while let Some(sign) = self.next_of(&['*', '/']) {
            left = Expr::Pair(Box::new(left), sign, Box::new(self.factor(depth)?));
        }
        Ok(left)
    }

    fn factor(&mut self, depth: usize) -> Result<Expr> {
        let text = self.text;
        ensure!(depth < Self::DEEPEST, "`{text}` is nested too deep");
        let token = self
            .next()
            .with_context(|| format!("`{text}` ends where a cell or a number was expected"))?;
        if token == "(" {
            let inner = self.sum(depth + 1)?;
            ensure!(self.next_of(&[')']).is_some(), "`{text}` lacks a `)`");
            return Ok(inner);
        }
        if self.next_of(&['(']).is_some() {
            let function = match token.as_str() {
                "mean" => Function::Mean,
                "best" => Function::Best,
                "gap" => Function::Gap,
                _ => bail!("`{token}` in `{text}` is neither mean, best nor gap"),
            };
            let mut arguments = vec![self.sum(depth + 1)?];
            while self.next_of(&[',']).is_some() {
                arguments.push(self.sum(depth + 1)?);
            }
            ensure!(self.next_of(&[')']).is_some(), "`{text}` lacks a `)`");
            ensure!(
                function != Function::Gap || arguments.len() == 2,
                "`gap` in `{text}` has {} arguments; expected 2",
                arguments.len()
            );
            return Ok(Expr::Call(function, arguments));
        }
        if let Ok(number) = token.parse() {
            return Ok(Expr::Number(number));
        }
        let sign =
            Self::OPERATORS.contains(&token.as_str()) || [")", ","].contains(&token.as_str());
        ensure!(
            !sign,
            "`{token}` in `{text}` stands where a cell or a number was expected"
        );
        Ok(Expr::Cell(match token.split_once('/') {
            Some((table, cell)) => CellName {
                table: Some(table.to_owned()),
                cell: cell.to_owned(),
            },
            None => CellName {
                table: None,
                cell: token,
            },
        }))
    }

    fn end(&mut self) -> Result<()> {
        match self.next() {
            None => Ok(()),
            Some(token) => bail!("`{token}` in `{}` was not expected", self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> BTreeMap<u64, f64> {
        (0..).zip(values.iter().copied()).collect()
    }

    fn cells(name: &CellName) -> Option<BTreeMap<u64, f64>> {
        match (name.table.as_deref(), name.cell.as_str()) {
            (None, "8 cnn") => Some(series(&[1.0, 2.0])),
            (None, "ViT-B vit") => Some(series(&[3.0, 1.0, 9.0])),
            (Some("2"), "CASS cnn 1%") => Some(series(&[10.0, 10.0])),
            _ => None,
        }
    }

    #[test]
    fn values_follow_arithmetic_seed_by_seed() {
        let value = |text: &str| {
            text.parse::<Expr>()
                .unwrap()
                .value(&cells)
                .map(|v| v.values())
        };
        assert_eq!(value("8 cnn + 2 * 3 - 1"), Some(vec![6.0, 7.0]));
        assert_eq!(value("(8 cnn + 2) * 3 / 3"), Some(vec![3.0, 4.0]));
        assert_eq!(value("8 cnn - ViT-B vit"), Some(vec![-2.0, 1.0]));
        assert_eq!(
            value("mean(8 cnn, ViT-B vit, 2/CASS cnn 1%)"),
            Some(vec![14.0 / 3.0, 13.0 / 3.0])
        );
        assert_eq!(value("best(8 cnn, ViT-B vit)"), Some(vec![3.0, 1.0, 9.0]));
        assert_eq!(value("gap(8 cnn, ViT-B vit)"), Some(vec![2.0, 1.0]));
        assert_eq!(value("1 - 0.25"), Some(vec![0.75]));
        assert_eq!(value("9 cnn"), None);
    }

    #[test]
    fn comparisons() {
        let read = |text: &str| Comparison::try_from(text.to_owned());
        let within = read("8 cnn ≈ ViT-B vit ± 0.5").unwrap();
        assert_eq!(within.relation, Relation::Within(0.5));
        assert_eq!(within.difference(&cells).unwrap().values(), [-2.0, 1.0]);
        assert!(Relation::AtLeast.holds(0.8894 - 0.8639 - 0.0255));
        assert!(!Relation::Greater.holds(0.0));
        for (text, expected) in [
            ("8 cnn", "compares nothing"),
            ("8 cnn ≈ 9 cnn", "lacks how near"),
            ("8 cnn > ", "ends where"),
            ("most(8 cnn) > 1", "neither mean, best nor gap"),
            ("mean(8 cnn > 1", "lacks a `)`"),
            ("8 cnn > 1 > 2", "`>` in"),
            ("8 cnn > * 2", "stands where"),
            ("gap(8 cnn) > 1", "expected 2"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let deep = format!("{}1 > 0", "(".repeat(1000));
        assert!(
            read(&deep)
                .unwrap_err()
                .to_string()
                .contains("nested too deep")
        );
    }
}
