//! What a run will take, said before it takes hours.

use crate::failure::Result;
use crate::pace::span;
use cass_train::Recipe;
use cass_train::cost::step_gflops;

/// A run that takes as long is told of, in seconds.
const LONG: f64 = 1800.0;
/// Below so many operations (in 10⁹) no computer takes so long.
const MUCH: f64 = 1e4;
/// What a step reaches of the speed of matrix products alone, as `cass bench step` measures it.
const SHARE: f64 = 0.5;
/// What makes a run shorter, in the order of what it changes.
const SMALLER: [(&str, &str); 3] = [
    ("cnn", "resnet18"),
    ("vit", "vit_tiny_patch16_224"),
    ("net", "resnet18"),
];
const SMALLER_SIZE: usize = 96;
const FEWER_EPOCHS: usize = 10;

/// What a pretraining of so many steps on a CPU will take, if that is long, and the flags that shorten it.
pub fn of_pretraining(recipe: &Recipe, steps: u64) -> Result<Option<String>> {
    let operations = steps as f64 * step_gflops(recipe)?;
    if operations < MUCH {
        return Ok(None);
    }
    let speed = SHARE * cass_ops::profile::matmul_roofline();
    said(recipe, steps, speed)
}

/// The same at a speed of so many GFLOP/s.
fn said(recipe: &Recipe, steps: u64, speed: f64) -> Result<Option<String>> {
    let seconds = steps as f64 * step_gflops(recipe)? / speed;
    if seconds < LONG {
        return Ok(None);
    }
    let networks = recipe.arms.values().map(|arm| arm.network.as_str());
    let networks: Vec<&str> = networks
        .map(|name| name.split('.').next().unwrap_or(name))
        .collect();
    let mut text = format!(
        "estimate: about {} on this computer, for {steps} steps of {} images at {} px through {}; the first steps will tell",
        span(seconds),
        recipe.batch,
        recipe.size,
        networks.join(" and "),
    );
    let (shorter, flags) = shorter(recipe);
    let share = shorter.epochs as f64 / recipe.epochs as f64;
    let less = steps as f64 * share * step_gflops(&shorter)? / speed;
    if less < seconds / 2.0 {
        text += &format!(
            "\n  shorter: {flags} makes it about {}; --fraction 0.1 a tenth of either",
            span(less)
        );
    }
    Ok(Some(text))
}

/// The recipe with what takes less time, and the flags for that.
fn shorter(recipe: &Recipe) -> (Recipe, String) {
    let (mut shorter, mut flags) = (recipe.clone(), Vec::new());
    if recipe.size > SMALLER_SIZE {
        shorter.size = SMALLER_SIZE;
        flags.push(format!("--size {SMALLER_SIZE}"));
    }
    for (flag, network) in SMALLER {
        if let Some(arm) = shorter.arms.get_mut(flag)
            && arm.network != network
        {
            arm.network = network.into();
            flags.push(format!("--{flag} {network}"));
        }
    }
    if recipe.epochs > FEWER_EPOCHS {
        shorter.epochs = FEWER_EPOCHS;
        flags.push(format!("--epochs {FEWER_EPOCHS}"));
    }
    (shorter, flags.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cass_train::methods::CassConfig;

    #[test]
    fn the_papers_settings_on_a_laptop_are_told_of_with_the_flags_that_shorten_them() {
        let recipe = Recipe::paper(CassConfig::default());
        let text = said(&recipe, 22_300, 50.0).unwrap().unwrap();
        assert!(text.starts_with("estimate: about 33 days "), "{text}");
        for part in [
            "22300 steps of 16 images at 384 px through resnet50 and vit_base_patch16_384; ",
            "--size 96 --cnn resnet18 --vit vit_tiny_patch16_224 --epochs 10 makes it about ",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(text.lines().count(), 2, "{text}");
    }

    #[test]
    fn a_run_of_minutes_is_not_told_of() {
        let (shorter, _) = shorter(&Recipe::paper(CassConfig::default()));
        assert_eq!(said(&shorter, 500, 100.0).unwrap(), None);
    }
}
