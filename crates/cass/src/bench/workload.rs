//! What `bench step` and `bench memory` run: one training step on random images.

use crate::failure::{Failure, Result};
use crate::pretrain::precision;
use crate::recompute::Recompute;
use candle_core::{Device, Tensor};
use cass_models::{Model, ModelOptions};
use cass_rng::Rng;
use cass_train::methods::{DinoConfig, FocalForm, FocalLoss, Held, SupervisedStep, Trains};
use cass_train::recipe::Precision;
use cass_train::{Method, Recipe, Step};
use clap::builder::{PossibleValue, PossibleValuesParser};

/// The method, its networks and its images.
#[derive(clap::Args)]
pub struct WorkloadArgs {
    /// What to train with.
    #[arg(long, value_name = "METHOD", default_value = "cass", value_parser = methods())]
    method: String,
    /// CASS' first network.
    #[arg(long, value_name = "NAME", default_value = "resnet18")]
    cnn: String,
    /// CASS' second network.
    #[arg(long, value_name = "NAME", default_value = "vit_tiny_patch16_224")]
    vit: String,
    /// The network of a method that trains one, such as dino, and of supervised [default: that of --cnn].
    #[arg(long, value_name = "NAME")]
    net: Option<String>,
    /// Height and width of the images, in pixels.
    #[arg(long, value_name = "PX", default_value_t = 224)]
    pub size: usize,
    /// Images a step.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub batch: usize,
    /// Where to compute: auto, cpu, cuda or cuda:N.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
    /// Precision of the products; a CPU has f32 alone.
    #[arg(long, value_name = "PRECISION", default_value = "f32", value_parser = precision())]
    pub precision: Precision,
    /// Worker threads; 0 for one a core.
    #[arg(long, value_name = "T", default_value_t = 0)]
    pub threads: usize,
    /// What the backward pass computes again instead of keeping it.
    #[arg(long, value_name = "WHAT", default_value = "none")]
    recompute: Recompute,
}

/// What needs labels, and is no pretraining.
const SUPERVISED: &str = "supervised";

fn methods() -> PossibleValuesParser {
    let value = |method: &Method| PossibleValue::new(method.name()).help(method.about());
    let supervised = PossibleValue::new(SUPERVISED).help("One network learns four classes.");
    let mut values: Vec<_> = Method::all().iter().map(value).collect();
    values.push(supervised);
    values.into()
}

impl WorkloadArgs {
    /// The method, unless it is the supervised one.
    fn pretraining(&self) -> Option<Method> {
        self.method.parse().ok()
    }

    /// The networks that the method trains.
    pub fn nets(&self) -> Vec<&str> {
        let method = self.pretraining();
        let arms = method.map_or(&["net"][..], |method| method.arms());
        let net = |arm: &&str| match *arm {
            "cnn" => &self.cnn,
            "vit" => &self.vit,
            _ => self.net(),
        };
        arms.iter().map(net).collect()
    }

    fn net(&self) -> &str {
        self.net.as_ref().unwrap_or(&self.cnn)
    }

    /// The name on the command line.
    pub fn method_name(&self) -> &str {
        &self.method
    }

    fn model(&self, name: &str, num_classes: usize, seed: u64, device: &Device) -> Result<Model> {
        let options = ModelOptions {
            num_classes,
            input_size: self.size,
            seed,
            device: device.clone(),
            ..Default::default()
        };
        let mut model = Model::new(name, &options)?;
        model.set_recompute(self.recompute.blocks());
        Ok(model)
    }

    /// `(B, 3, S, S)` of standard normal values.
    fn images(&self, view: u64, device: &Device) -> Result<Tensor> {
        let shape = (self.batch, 3, self.size, self.size);
        let mut rng = Rng::new(0, "bench", [view, 0], 0);
        let values: Vec<f32> = (0..self.batch * 3 * self.size * self.size)
            .map(|_| rng.normal() as f32)
            .collect();
        let images = Tensor::from_vec(values, shape, device);
        images.map_err(|error| cass_train::Error::from(error).into())
    }
}

/// A step on images that stay the same.
pub struct Workload {
    work: Work,
    /// What it has to hold besides activations.
    pub held: Held,
    pub device: Device,
}

enum Work {
    Views(Box<dyn Step>, Vec<Tensor>),
    Labels(Box<SupervisedStep>, Tensor, Vec<usize>),
}

impl Workload {
    pub fn new(args: &WorkloadArgs) -> Result<Self> {
        if args.size == 0 || args.batch < 2 {
            let (size, batch) = (args.size, args.batch);
            let text =
                format!("--size {size} --batch {batch}: expected at least 1 pixel and 2 images");
            return Err(Failure::Wrong(text));
        }
        let Some(method) = args.pretraining() else {
            if args.precision == Precision::Bf16 {
                let text = "--precision bf16: the method supervised has f32 and tf32 alone";
                return Err(Failure::Wrong(text.into()));
            }
            let mut recipe = Recipe::paper(DinoConfig::default());
            (recipe.device, recipe.precision) = (args.device.clone(), args.precision);
            let device = cass_train::device::device_of(&recipe, false)?;
            let arm = &recipe.arms["net"];
            let loss = FocalLoss::new(FocalForm::Softmax, &[4, 3, 2, 1]);
            let net = args.model(args.net(), 4, 0, &device)?;
            let step = SupervisedStep::new(net, Trains::Everything, arm, loss)?;
            let labels = (0..args.batch).map(|i| i % 4).collect();
            return Ok(Self {
                held: step.held(),
                work: Work::Labels(Box::new(step), args.images(0, &device)?, labels),
                device,
            });
        };
        let mut recipe = Recipe::from_random(method);
        (recipe.device, recipe.precision) = (args.device.clone(), args.precision);
        let device = cass_train::device::device_of(&recipe, false)?;
        let networks = args.nets().into_iter().zip(0..);
        let networks = networks.map(|(name, seed)| args.model(name, recipe.outputs, seed, &device));
        let step = recipe.step(networks.collect::<Result<_>>()?)?;
        let views = (0..recipe.views() as u64).map(|view| args.images(view, &device));
        Ok(Self {
            held: step.held(),
            work: Work::Views(step, views.collect::<Result<_>>()?),
            device,
        })
    }

    /// Forward of every network, loss, backward, optimiser.
    pub fn step(&mut self) -> Result<()> {
        match &mut self.work {
            Work::Views(step, views) => step.step(views).map(|_| ())?,
            Work::Labels(step, images, labels) => step.step(images, labels).map(|_| ())?,
        }
        Ok(())
    }
}
