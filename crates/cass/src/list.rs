//! `cass models list`: the registry as a table, and what the cache has of it.

use crate::failure::{Failure, Result};
use crate::say::Report;
use cass_models::hub::{Hub, HubId};
use cass_models::registry::{MODELS, ModelInfo};
use globset::Glob;
use serde_json::{Value, json};

/// List the networks: parameters, work, input size, accuracy and licence of their weights on the Hugging
/// Face Hub, and whether the cache has those. No connection is opened.
///
/// Parameters are those of 1000 classes. GFLOPs are those of one forward pass on one image of the
/// input size, two a multiply-add (convolutions, linear layers and attention). A bare name means
/// the weights that timm takes for it; --all lists every published set. Top-1 is the accuracy on
/// ImageNet-1k that timm measured, often on larger images (--json says on which); licences are those
/// that timm names.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Part of a name, or a pattern where * stands for any text and ? for any character.
    #[arg(value_name = "PATTERN")]
    pattern: Option<String>,
    /// Every set of weights of a network, not its default alone.
    #[arg(long)]
    all: bool,
}

const EXAMPLE: &str = "\
Examples:
  cass models list
  cass models list 'vit_*_384'
  cass models list resnet50 --all";

pub fn run(args: &Args) -> Result<Report> {
    let pattern = args.pattern.as_deref().unwrap_or("*");
    // A tag in the pattern asks for that tag.
    let wanted = |m: &&ModelInfo| {
        (args.all || m.is_default()) && fits(pattern, m.name) || fits_tag(pattern, m)
    };
    let found: Vec<_> = MODELS.iter().filter(wanted).collect();
    if found.is_empty() {
        return Err(Failure::Wrong(format!(
            "no name fits {pattern:?}; cass models list prints all names"
        )));
    }
    let hub = Hub::from_env()?;
    let rows: Vec<_> = found
        .into_iter()
        .map(|info| Row {
            info,
            cached: hub.cached(&HubId::of(info)).is_some(),
        })
        .collect();
    let models: Vec<_> = rows.iter().map(entry).collect();
    Ok(Report::done(table(&rows), json!({ "models": models })))
}

/// What is said of a network's weights.
struct Row {
    info: &'static ModelInfo,
    cached: bool,
}

fn fits_tag(pattern: &str, info: &ModelInfo) -> bool {
    pattern.contains('.') && fits(pattern, info.full_name())
}

/// Whether a name fits a pattern with `*` or `?` as a whole, or contains one without.
fn fits(pattern: &str, name: &str) -> bool {
    if !pattern.contains(['*', '?']) {
        return name.contains(pattern);
    }
    let glob = Glob::new(pattern);
    glob.is_ok_and(|glob| glob.compile_matcher().is_match(name))
}

fn entry(Row { info, cached }: &Row) -> Value {
    let cost = info.cost();
    json!({
        "name": info.name,
        "tag": info.tag,
        "default": info.is_default(),
        "parameters": cost.parameters,
        "macs": cost.macs,
        "gflops": cost.gflops(),
        "input_size": info.input_size,
        "num_classes": info.num_classes,
        "mean": info.normalization.mean,
        "std": info.normalization.std,
        "interpolation": info.interpolation.to_string(),
        "crop_pct": info.crop_pct,
        "hub_id": info.hub_id,
        "license": licence(info),
        "top1": info.top1().map(|top1| top1.percent),
        "top1_input_size": info.top1().map(|top1| top1.input_size),
        "cached": cached,
    })
}

/// Never a guess.
fn licence(info: &ModelInfo) -> &'static str {
    info.licence().unwrap_or("unknown")
}

const HEADINGS: [&str; 8] = [
    "name",
    "parameters",
    "GFLOPs",
    "input",
    "top-1",
    "cached",
    "licence",
    "weights on the Hub",
];

fn table(found: &[Row]) -> String {
    let row = |Row { info, cached }: &Row| {
        let cost = info.cost();
        [
            info.name.to_string(),
            format!("{:.2} M", cost.parameters as f64 / 1e6),
            format!("{:.2}", cost.gflops()),
            format!("{} px", info.input_size),
            info.top1()
                .map_or("-".into(), |top1| format!("{:.1} %", top1.percent)),
            if *cached { "yes" } else { "no" }.to_string(),
            licence(info).to_string(),
            info.hub_id.to_string(),
        ]
    };
    let rows: Vec<_> = [HEADINGS.map(String::from)]
        .into_iter()
        .chain(found.iter().map(row))
        .collect();
    let width = |column: usize| rows.iter().map(|r| r[column].len()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let line = |[name, parameters, gflops, input, top1, cached, licence, hub]: &[String; 8]| {
        let [a, b, c, d, e, f, g, _] = widths;
        format!(
            "{name:a$}  {parameters:>b$}  {gflops:>c$}  {input:>d$}  {top1:>e$}  {cached:f$}  {licence:g$}  {hub}\n"
        )
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, want) in [
            ("resnet", "resnet50", true),
            ("net5", "resnet50", true),
            ("vit", "resnet50", false),
            ("*", "resnet50", true),
            ("resnet?0", "resnet50", true),
            ("resnet?", "resnet50", false),
            ("vit_*_384", "vit_tiny_patch16_384", true),
            ("vit_*_384", "deit_base_patch16_384", false),
            ("*vit*a*_384", "vit_large_patch16_384", true),
            ("?*", "", false),
            ("**", "", true),
        ] {
            assert_eq!(fits(pattern, name), want, "{pattern} {name}");
        }
    }
}
