//! What `bench step` and `bench memory` run: one training step on random images.

use crate::failure::{Failure, Result};
use crate::recompute::Recompute;
use candle_core::{Device, Tensor, Var};
use cass_models::{Model, ModelOptions};
use cass_rng::Rng;
use cass_train::{
    Arm, CassStep, DinoStep, FocalForm, FocalLoss, Method, Projector, Recipe, Step, SupervisedStep,
    Trains,
};
use clap::ValueEnum;

/// The method, its networks and its images.
#[derive(clap::Args)]
pub struct WorkloadArgs {
    /// What to train with.
    #[arg(long, default_value = "cass")]
    method: MethodName,
    /// CASS' first network.
    #[arg(long, value_name = "NAME", default_value = "resnet18")]
    cnn: String,
    /// CASS' second network.
    #[arg(long, value_name = "NAME", default_value = "vit_tiny_patch16_224")]
    vit: String,
    /// The network of dino and supervised [default: that of --cnn].
    #[arg(long, value_name = "NAME")]
    net: Option<String>,
    /// Height and width of the images, in pixels.
    #[arg(long, value_name = "PX", default_value_t = 224)]
    pub size: usize,
    /// Images a step.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub batch: usize,
    /// Worker threads; 0 for one a core.
    #[arg(long, value_name = "T", default_value_t = 0)]
    pub threads: usize,
    /// What the backward pass computes again instead of keeping it.
    #[arg(long, value_name = "WHAT", default_value = "none")]
    recompute: Recompute,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum MethodName {
    /// Two networks agree on one view.
    Cass,
    /// One network and its moving average agree on crops.
    Dino,
    /// One network learns four classes.
    Supervised,
}

impl WorkloadArgs {
    /// The networks that the method trains.
    pub fn nets(&self) -> Vec<&str> {
        match self.method {
            MethodName::Cass => vec![&self.cnn, &self.vit],
            _ => vec![self.net()],
        }
    }

    fn net(&self) -> &str {
        self.net.as_ref().unwrap_or(&self.cnn)
    }

    /// As on the command line.
    pub fn method_name(&self) -> Option<String> {
        let value = self.method.to_possible_value()?;
        Some(value.get_name().to_owned())
    }

    fn model(&self, name: &str, num_classes: usize, seed: u64) -> Result<Model> {
        let options = ModelOptions {
            num_classes,
            input_size: self.size,
            seed,
            ..Default::default()
        };
        let mut model = Model::new(name, &options)?;
        model.set_recompute(self.recompute.blocks());
        Ok(model)
    }

    /// `(B, 3, S, S)` of standard normal values.
    fn images(&self, view: u64) -> Result<Tensor> {
        let shape = (self.batch, 3, self.size, self.size);
        let mut rng = Rng::new(0, "bench", [view, 0], 0);
        let values: Vec<f32> = (0..self.batch * 3 * self.size * self.size)
            .map(|_| rng.normal() as f32)
            .collect();
        let images = Tensor::from_vec(values, shape, &Device::Cpu);
        images.map_err(|error| cass_train::Error::from(error).into())
    }
}

/// A step on images that stay the same.
pub struct Workload {
    work: Work,
    /// What it has to hold besides activations.
    pub held: Held,
}

enum Work {
    Views(Box<dyn Step>, Vec<Tensor>),
    Labels(Box<SupervisedStep>, Tensor, Vec<usize>),
}

/// Bytes that a training step holds whatever the images are.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub struct Held {
    /// Parameters and running statistics, a teacher's too.
    pub weights: usize,
    /// Moments of the optimisers.
    pub optimizer: usize,
    /// One gradient a parameter that is trained, all there at the end of the backward pass.
    pub gradients: usize,
}

impl Held {
    /// Counts `all` values of a network, of which `trained` are updated by `arm`.
    fn count(&mut self, all: usize, trained: usize, arm: &Arm) {
        let moments = arm.optimizer.state_names().len();
        let f32s = size_of::<f32>();
        self.weights += all * f32s;
        self.optimizer += moments * trained * f32s;
        self.gradients += trained * f32s;
    }
}

fn elements(variables: &[(String, Var)]) -> usize {
    variables.iter().map(|(_, var)| var.elem_count()).sum()
}

impl Workload {
    pub fn new(args: &WorkloadArgs) -> Result<Self> {
        if args.size == 0 || args.batch < 2 {
            let (size, batch) = (args.size, args.batch);
            let text =
                format!("--size {size} --batch {batch}: expected at least 1 pixel and 2 images");
            return Err(Failure::Wrong(text));
        }
        let mut held = Held::default();
        let work = match args.method {
            MethodName::Cass => {
                let recipe = Recipe::paper(Method::Cass);
                let (cnn, vit) = (
                    args.model(&args.cnn, 1000, 0)?,
                    args.model(&args.vit, 1000, 1)?,
                );
                let (a, b) = (&recipe.arms["cnn"], &recipe.arms["vit"]);
                for (model, arm) in [(&cnn, a), (&vit, b)] {
                    let params = model.params();
                    held.count(elements(&params.all()), elements(&params.trainable()), arm);
                }
                let step = CassStep::new([("cnn", cnn, a), ("vit", vit, b)], recipe.zero_grad)?;
                Work::Views(Box::new(step), vec![args.images(0)?])
            }
            MethodName::Dino => {
                let recipe = Recipe::paper(Method::Dino);
                let config = recipe.dino.clone().unwrap_or_default();
                let net = args.model(args.net(), 1000, 0)?;
                let projector = Projector::new(net.feature_dim(), &config, 0, &Device::Cpu)?;
                let arm = &recipe.arms["net"];
                let head = elements(&projector.trainable());
                let student = elements(&net.params().all()) + head;
                let trained = elements(&net.backbone_params()) + head;
                held.count(2 * student, trained, arm);
                let step = DinoStep::new("net", net, projector, arm, &config, recipe.zero_grad)?;
                let views = (0..4).map(|view| args.images(view));
                Work::Views(Box::new(step), views.collect::<Result<_>>()?)
            }
            MethodName::Supervised => {
                let recipe = Recipe::paper(Method::Dino);
                let arm = &recipe.arms["net"];
                let loss = FocalLoss::new(FocalForm::Softmax, &[4, 3, 2, 1]);
                let net = args.model(args.net(), 4, 0)?;
                let params = net.params();
                held.count(elements(&params.all()), elements(&params.trainable()), arm);
                let step = SupervisedStep::new(net, Trains::Everything, arm, loss)?;
                let labels = (0..args.batch).map(|i| i % 4).collect();
                Work::Labels(Box::new(step), args.images(0)?, labels)
            }
        };
        Ok(Self { work, held })
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
