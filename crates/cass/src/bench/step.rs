//! `cass bench step`: one training step, as a whole and by operation.

use crate::failure::{Failure, Result};
use crate::process;
use crate::say::Report;
use candle_core::{DType, Device, Tensor};
use cass_models::{Model, ModelOptions};
use cass_ops::{OpTime, Pass, Rng};
use cass_train::{
    CassStep, DinoStep, FocalForm, FocalLoss, Method, Projector, Recipe, Step, SupervisedStep,
    Trains,
};
use clap::ValueEnum;
use serde_json::json;
use std::fmt::Write as _;
use std::time::Instant;

/// Time training steps: forward of every network, loss, backward, optimiser.
///
/// Networks begin with random weights and see random images; the time depends on neither. The first
/// step warms up and is not counted.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// What to train with.
    #[arg(long, default_value = "cass")]
    method: MethodName,
    /// CASS' first network.
    #[arg(long, value_name = "NAME", default_value = "resnet18")]
    cnn: String,
    /// CASS' second network.
    #[arg(long, value_name = "NAME", default_value = "vit_tiny_patch16_224")]
    vit: String,
    /// The network of dino and supervised.
    #[arg(long, value_name = "NAME", default_value = "resnet18")]
    net: String,
    /// Height and width of the images, in pixels.
    #[arg(long, value_name = "PX", default_value_t = 224)]
    size: usize,
    /// Images a step.
    #[arg(long, value_name = "N", default_value_t = 16)]
    batch: usize,
    /// Steps to time.
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Worker threads; 0 for one a core.
    #[arg(long, value_name = "T", default_value_t = 0)]
    threads: usize,
    /// Also tell where the time goes, by operation.
    #[arg(long)]
    profile: bool,
}

const EXAMPLE: &str = "\
Examples:
  cass bench step --size 96 --batch 16 --steps 10 --profile
  cass bench step --method dino --net resnet18 --size 96 --batch 16 --json";

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum MethodName {
    /// Two networks agree on one view.
    Cass,
    /// One network and its moving average agree on crops.
    Dino,
    /// One network learns four classes.
    Supervised,
}

pub fn run(args: Args) -> Result<Report> {
    if args.size == 0 || args.batch < 2 {
        let (size, batch) = (args.size, args.batch);
        let text = format!("--size {size} --batch {batch}: expected at least 1 pixel and 2 images");
        return Err(Failure::Wrong(text));
    }
    process::configure(args.threads)?;
    let roofline = cass_ops::matmul_roofline();
    let mut step = Bench::new(&args)?;
    step.step()?;
    let before = cass_ops::multiply_adds();
    if args.profile {
        cass_ops::start_profile();
    }
    let mut times = Vec::new();
    for _ in 0..args.steps {
        let started = Instant::now();
        step.step()?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let profile = cass_ops::take_profile();
    let multiply_adds = (cass_ops::multiply_adds() - before) / args.steps;
    Ok(report(&args, times, multiply_adds, roofline, &profile))
}

/// A step on images that stay the same.
enum Bench {
    Views(Box<dyn Step>, Vec<Tensor>),
    Labels(Box<SupervisedStep>, Tensor, Vec<usize>),
}

impl Bench {
    fn new(args: &Args) -> Result<Self> {
        let images = images(args, 0)?;
        let model = |name: &str, num_classes: usize, seed: u64| {
            let options = ModelOptions {
                num_classes,
                input_size: args.size,
                seed,
                ..Default::default()
            };
            Model::new(name, &options)
        };
        Ok(match args.method {
            MethodName::Cass => {
                let recipe = Recipe::paper(Method::Cass);
                let (cnn, vit) = (model(&args.cnn, 1000, 0)?, model(&args.vit, 1000, 1)?);
                let (a, b) = (&recipe.arms["cnn"], &recipe.arms["vit"]);
                let step = CassStep::new([("cnn", cnn, a), ("vit", vit, b)], recipe.zero_grad)?;
                Self::Views(Box::new(step), vec![images])
            }
            MethodName::Dino => {
                let recipe = Recipe::paper(Method::Dino);
                let config = recipe.dino.clone().unwrap_or_default();
                let net = model(&args.net, 1000, 0)?;
                let projector = Projector::new(net.feature_dim(), &config, 0, &Device::Cpu)?;
                let arm = &recipe.arms["net"];
                let step = DinoStep::new("net", net, projector, arm, &config, recipe.zero_grad)?;
                let views = (0..4).map(|view| self::images(args, view));
                Self::Views(Box::new(step), views.collect::<Result<_>>()?)
            }
            MethodName::Supervised => {
                let recipe = Recipe::paper(Method::Dino);
                let loss = FocalLoss::new(FocalForm::Softmax, &[4, 3, 2, 1]);
                let net = model(&args.net, 4, 0)?;
                let step = SupervisedStep::new(net, Trains::Everything, &recipe.arms["net"], loss)?;
                let labels = (0..args.batch).map(|i| i % 4).collect();
                Self::Labels(Box::new(step), images, labels)
            }
        })
    }

    fn step(&mut self) -> Result<()> {
        match self {
            Self::Views(step, views) => step.step(views).map(|_| ())?,
            Self::Labels(step, images, labels) => step.step(images, labels).map(|_| ())?,
        }
        Ok(())
    }
}

/// `(B, 3, S, S)` of standard normal values.
fn images(args: &Args, view: u64) -> Result<Tensor> {
    let shape = (args.batch, 3, args.size, args.size);
    let mut rng = Rng::new(0, "bench", [view, 0], 0);
    let values: Vec<f32> = (0..args.batch * 3 * args.size * args.size)
        .map(|_| rng.normal() as f32)
        .collect();
    let images = Tensor::from_vec(values, shape, &Device::Cpu);
    let images = images.and_then(|images| images.to_dtype(DType::F32));
    images.map_err(|error| cass_train::Error::from(error).into())
}

fn report(
    args: &Args,
    mut times: Vec<f64>,
    multiply_adds: u64,
    roofline: f64,
    profile: &[OpTime],
) -> Report {
    times.sort_by(f64::total_cmp);
    let (fastest, slowest) = (times[0], times[times.len() - 1]);
    let middle = times.len() / 2;
    let median = if times.len() % 2 == 1 {
        times[middle]
    } else {
        (times[middle - 1] + times[middle]) / 2.0
    };
    let images_per_s = args.batch as f64 / median * 1e3;
    let gflops = 2.0 * multiply_adds as f64 / median / 1e6;
    let rss = cass_train::peak_rss_mib();
    let nets = match args.method {
        MethodName::Cass => vec![args.cnn.as_str(), args.vit.as_str()],
        _ => vec![args.net.as_str()],
    };
    let mut text = format!(
        "{} at {} px, batch {}: {median:.1} ms a step ({fastest:.1} to {slowest:.1} over {}), \
         {images_per_s:.1} images/s, {} MiB at most, {gflops:.0} GFLOP/s of matrix products, \
         {:.0} % of the {roofline:.0} that a product alone reaches",
        nets.join(" + "),
        args.size,
        args.batch,
        times.len(),
        rss.map_or("unknown".into(), |mib| mib.to_string()),
        100.0 * gflops / roofline,
    );
    let steps = args.steps as f64;
    let ops = profile.iter().map(|op| {
        let ms = op.time.as_secs_f64() * 1e3 / steps;
        let pass = match op.pass {
            Pass::Forward => "forward",
            Pass::Backward => "backward",
        };
        let _ = write!(
            text,
            "\n{:20} {pass:8} {ms:8.2} ms {:5.1} %  {:.0} calls",
            op.op,
            100.0 * ms / median,
            op.calls as f64 / steps
        );
        json!({"op": op.op, "pass": pass, "ms": ms, "calls": op.calls as f64 / steps})
    });
    let ops: Vec<_> = ops.collect();
    let json = json!({
        "method": args.method.to_possible_value().map(|m| m.get_name().to_string()),
        "nets": nets,
        "size": args.size,
        "batch": args.batch,
        "threads": cass_ops::threads(),
        "median_ms": median,
        "min_ms": fastest,
        "max_ms": slowest,
        "images_per_s": images_per_s,
        "peak_rss_mib": rss,
        "gflops": gflops,
        "roofline_gflops": roofline,
        "roofline_share": gflops / roofline,
        "profile": ops,
    });
    Report::done(text, json)
}
