//! Recipes that nobody should write.

use super::{Case, Verdict};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};
use std::{fs, thread};

/// What a field may be set to: of every kind, and never what a run could begin to compute for long.
const VALUES: [&str; 26] = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-0.0",
    "0.5",
    "1.5",
    "nan",
    "inf",
    "-inf",
    "1e308",
    "5e-324",
    "4294967296",
    "4611686018427387904",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "true",
    "\"\"",
    "\"many\"",
    "\"\\u001b[2J\\u202e\"",
    "[]",
    "[1, [2]]",
    "{}",
    "{ name = \"sgd\", lr = 1e9 }",
];

/// A recipe with fields changed, doubled, removed or spoilt.
pub(super) fn recipe(case: &mut Case) -> Result<Verdict> {
    let text = fs::read_to_string(case.ground.whole("pretrain").join("recipe.toml"))?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..1 + case.rng.below(3) {
        let place = case.rng.below(lines.len());
        let value = VALUES[case.rng.below(VALUES.len())];
        match case.rng.below(8) {
            0 => drop(lines.remove(place)),
            1 => lines.insert(place, lines[place].clone()),
            2 => lines.insert(place, format!("unheard_of = {value}")),
            3 => lines[place].push_str(value),
            _ => {
                if let Some((key, _)) = lines[place].clone().split_once(" = ") {
                    lines[place] = format!("{key} = {value}");
                }
            }
        }
    }
    let file = case.path().join("recipe.toml");
    fs::write(&file, lines.join("\n"))?;
    let before: Vec<&str> = text.lines().collect();
    let changed = lines.iter().filter(|line| !before.contains(&line.as_str()));
    let changed: Vec<&str> = changed.map(String::as_str).collect();
    case.tell(changed.join(" | "));
    let args = ["pretrain", "--recipe", "recipe.toml", "--out", "out"].map(str::to_owned);
    let mut running = case.start(&args)?;
    // One that can be run after all is asked to stop.
    let since = Instant::now();
    while running.is_there() && since.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(20));
    }
    running.signal(15);
    let ended = running.end()?;
    if ended.code == Some(2) {
        ensure!(!case.out().exists(), "a refused recipe leaves a folder");
        let plain = ended.said.chars().all(|c| !c.is_control() || c == '\n');
        ensure!(plain, "control characters reach the terminal");
    }
    case.survived()
}
