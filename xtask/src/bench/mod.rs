//! `cargo xtask bench`: ours next to PyTorch's, in turn on one machine.

mod job;
mod outcome;
mod row;
mod side;
mod table;

use crate::checkout;
use anyhow::{Context, Result, bail};
use cass_reproduce::{Device, Provenance};
use cass_run::write_whole;
use outcome::Outcome;
use row::{ROWS, Row, Work};
use serde_json::json;
use side::{Side, Sides};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    /// A Python with torch and timm; with vit-pytorch for DINO, with torchvision for loading.
    #[arg(long, value_name = "PYTHON")]
    against_torch: PathBuf,
    /// Rows to measure, by name, with commas between; `all` for all [default: cass-96, cass-224, cass-384,
    /// dino-96, and loading where there is a --data-root].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    rows: Vec<String>,
    /// Measurements of each side, in turn; medians are reported.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    alternations: u32,
    /// Timed steps of each measurement [default: what the row says].
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    steps: Option<u32>,
    /// Threads of each side [default: one a core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// Measure every row on one thread too.
    #[arg(long)]
    scaling: bool,
    /// Measure torch.compile too.
    #[arg(long)]
    compile: bool,
    /// Neither side uses AVX-512, which some CPUs have at half the width: ours is built so, whatever CASS_BIN is.
    #[arg(long, value_name = "LEVEL", value_parser = ["avx2"])]
    simd: Option<String>,
    /// Brain MRIs for the rows of loading and of whole jobs: the data set's folder, or the one that holds it as `brain-mri`.
    #[arg(long, value_name = "DIR")]
    data_root: Option<PathBuf>,
    /// Also write the measurements here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub fn bench(args: Args) -> Result<ExitCode> {
    let rows = chosen(&args.rows, args.data_root.is_some())?;
    let images = args.data_root.as_deref().map(row::training_folder);
    let images = images.transpose()?;
    if images.is_none() && rows.iter().any(|row| row.loads()) {
        bail!("rows of loading need images: give --data-root DIR");
    }
    let versions = side::versions(&args.against_torch, &rows)?;
    let threads = args
        .threads
        .map_or_else(cass_reproduce::cores, |n| n as usize);
    let device = Device("cpu".to_owned());
    let avx2 = args.simd.is_some();
    let cass = match avx2 {
        true => checkout::cass_avx2()?,
        false => checkout::cass(&device)?,
    };
    let provenance = Provenance::read(&cass, &device, threads, checkout::commit().as_deref())?;
    let sides = Sides {
        cass,
        python: args.against_torch,
        steps: args.steps,
        images,
        avx2,
        scratch: tempfile::tempdir().context("a folder for whole jobs cannot be made")?,
    };
    let mut outcomes = Vec::new();
    for row in rows {
        let mut counts = vec![threads];
        if args.scaling && threads > 1 {
            counts.insert(0, 1);
        }
        for threads in counts {
            match measure(&sides, row, threads, args.alternations, args.compile) {
                Ok(outcome) => outcomes.push(outcome),
                // What was asked for is right: the measurement itself failed.
                Err(error) => {
                    eprintln!("error: {error:#}");
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
    }
    println!(
        "{}, {} cores{}; {}",
        provenance.cpu,
        provenance.cores,
        if avx2 { ", without AVX-512" } else { "" },
        versions.text()
    );
    println!("{}", table::table(&outcomes));
    for line in table::scaling(&outcomes)
        .into_iter()
        .chain(table::dino_against_cass(&outcomes))
    {
        println!("{line}");
    }
    if let Some(path) = &args.json {
        let rows: Vec<_> = outcomes.iter().map(Outcome::json).collect();
        let text = json!({"rows": rows, "simd": args.simd, "provenance": provenance, "versions": versions.0});
        write_whole(path, format!("{text:#}\n").as_bytes())
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen(names: &[String], with_images: bool) -> Result<Vec<&'static Row>> {
    if names.is_empty() {
        let usual = |row: &&Row| row.usual && (with_images || !row.loads());
        return Ok(ROWS.iter().filter(usual).collect());
    }
    if names == ["all"] {
        return Ok(ROWS.iter().collect());
    }
    let find = |name: &String| {
        ROWS.iter().find(|row| row.name == name).with_context(|| {
            let known: Vec<_> = ROWS.iter().map(|row| row.name).collect();
            format!(
                "--rows {name}: expected all, or some of {}",
                known.join(", ")
            )
        })
    };
    names.iter().map(find).collect()
}

/// One row: ours, PyTorch's, and so on in turn, so that a machine that slows down slows both.
fn measure(
    sides: &Sides,
    row: &'static Row,
    threads: usize,
    alternations: u32,
    compile: bool,
) -> Result<Outcome> {
    let mut outcome = Outcome::new(row, threads);
    let compiled = compile && matches!(row.work, Work::Step { .. });
    for turn in 1..=alternations {
        for (side, samples) in outcome.sides() {
            if side == Side::Compiled && !compiled {
                continue;
            }
            let sample = sides.measure(side, row, threads)?;
            eprintln!(
                "{} on {threads}, {turn} of {alternations}, {side}: {:.1} ms",
                row.name, sample.ms
            );
            samples.push(sample);
        }
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(asked: &[&str], with_images: bool) -> Result<Vec<&'static str>> {
        let asked: Vec<_> = asked.iter().map(|&name| name.to_owned()).collect();
        let rows = chosen(&asked, with_images)?;
        Ok(rows.iter().map(|row| row.name).collect())
    }

    #[test]
    fn rows_are_chosen_by_name() {
        let four = ["cass-96", "cass-224", "cass-384", "dino-96"];
        assert_eq!(names(&[], false).unwrap(), four);
        assert!(names(&[], true).unwrap().contains(&"loader-384"));
        assert_eq!(
            names(&["dino-384", "cass-96"], false).unwrap(),
            ["dino-384", "cass-96"]
        );
        assert_eq!(names(&["all"], false).unwrap().len(), ROWS.len());
        let error = names(&["cass-97"], false).unwrap_err().to_string();
        assert!(
            error.contains("cass-97") && error.contains("cass-96"),
            "{error}"
        );
    }
}
