//! A network with its variables.

use crate::error::{Error, Result};
use crate::family::{ModelConfig, Network, Place, Readout};
use crate::images::Images;
use crate::intermediates::{Collector, Intermediates, Taps};
use crate::layers::Mode;
use crate::options::ModelOptions;
use crate::params::{Builder, Params};
use crate::registry::{Normalization, find, parse};
use crate::text::printable;
use candle_core::{Tensor, Var};
use cass_ops::Tracked;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// What one forward pass gives.
#[derive(Debug, Clone)]
pub struct Output {
    /// `(B, K)`, the classifier's outputs.
    pub logits: Tracked,
    /// `(B, D)`, what the classifier sees: timm's `forward_head(pre_logits=True)`.
    pub features: Tracked,
    /// Those outputs on the way that were asked for.
    pub intermediates: Intermediates,
}

/// A network and its variables.
///
/// [`forward`](Model::forward) records what [`Tracked::backward`] needs. [`frozen`](Model::frozen) gives the
/// same network over the same variables that records none: it follows the training of the
/// original and keeps no activations.
#[derive(Debug)]
pub struct Model {
    name: String,
    config: ModelConfig,
    options: ModelOptions,
    params: Arc<Params>,
    network: Box<dyn Network>,
    /// Names of the classifier's parameters, each weight before its bias.
    classifier: Vec<String>,
    intermediate_names: Vec<String>,
    recompute: bool,
    images: Images,
    /// Names of the parameters that training leaves as they are.
    fixed: Arc<HashSet<String>>,
}

impl Model {
    /// A fresh network of the registry, initialised as timm does (the distributions are timm's,
    /// the numbers those of [`cass_rng::Rng`], keyed by the seed and each parameter's name).
    ///
    /// `name` is timm's, with or without a tag, and constructor arguments of timm may follow it
    /// behind commas: `vit_large_patch16_224,init_values=1e-5` is the network of UNI, and
    /// `vit_large_patch16_224,global_pool=avg` that of a fine-tuned RETFound.
    ///
    /// # Errors
    /// If the name or an argument is unknown, or the input size does not suit the network.
    pub fn new(name: &str, options: &ModelOptions) -> Result<Self> {
        let (config, arguments) = parse(name)?;
        Self::from_config(&format!("{}{arguments}", find(name)?.name), config, options)
    }

    /// A network of any shape, under a name of your own.
    ///
    /// # Errors
    /// If the input size does not suit the network.
    pub fn from_config(name: &str, config: ModelConfig, options: &ModelOptions) -> Result<Self> {
        let wrong = |reason: String| Error::Options {
            name: name.to_string(),
            reason,
        };
        if options.in_chans == 0 {
            return Err(wrong(
                "it takes images of at least one channel, not of 0".into(),
            ));
        }
        let params = RefCell::new(Params::default());
        let vb = Builder::create(&params, options.seed, options.dtype, &options.device);
        let built = config.family().build(options, &vb);
        // Under RUST_BACKTRACE Candle's messages continue with one.
        let network = built.map_err(|e| wrong(printable(&e.to_string())))?;
        let intermediate_names = vb.tap_names();
        drop(vb);
        Ok(Self {
            name: name.to_string(),
            classifier: parameters_of(config.classifier()),
            config,
            options: options.clone(),
            params: Arc::new(params.into_inner()),
            network,
            intermediate_names,
            recompute: false,
            images: Images::default(),
            fixed: Arc::default(),
        })
    }

    /// timm's name, with the arguments it was built with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Shape of the network.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Options that it was built with.
    pub fn options(&self) -> &ModelOptions {
        &self.options
    }

    /// Variables of the network.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Width of the features.
    pub fn feature_dim(&self) -> usize {
        self.network.feature_dim()
    }

    /// Outputs of the classifier.
    pub fn num_classes(&self) -> usize {
        self.options.num_classes
    }

    /// Images `(B, C, S, S)` to features `(B, D)` and logits `(B, K)`. `mode` matters to batch
    /// normalisation alone.
    ///
    /// The logits of a distilled DeiT are the mean of its two heads', in training too, as timm's are
    /// unless `distilled_training` is set; a loss that tells the heads apart, such as distillation
    /// from a teacher, takes `head` and `head_dist` from [`forward_with`](Model::forward_with).
    ///
    /// # Errors
    /// If the images have another size or channel count than the network takes.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Output> {
        self.forward_with(images, mode, &Taps::default())
    }

    /// [`forward`](Model::forward), which also gives the intermediate outputs that `taps` names. It
    /// is the same pass: what is asked for changes no bit of its result.
    ///
    /// The names are timm's, of modules, and so is what they stand for: the output of that module,
    /// which a forward hook there would see.
    ///
    /// | family | names | shape |
    /// |---|---|---|
    /// | ResNet | `stem` (before the max-pool), `layer1.0`, …, `layer1` … `layer4` | `(B, C, H, W)` |
    /// | DenseNet | `features.norm0`, `features.denseblock1.denselayer1` (what it adds), …, `features.denseblock1`, `features.transition1` …, `features.norm5` | `(B, C, H, W)` |
    /// | ViT, DeiT | `patch_embed` (no prefix tokens, no positions) | `(B, N - prefix, C)` |
    /// | | `blocks.0` …, `norm`* | `(B, N, C)`, the prefix tokens first |
    /// | | `blocks.0.attn`* … | attention, `(B, heads, N, N)` |
    /// | distilled DeiT | `head`, `head_dist`: what timm gives with `distilled_training` | `(B, K)` |
    /// | Swin | `patch_embed`, `layers.0.blocks.0` …, `layers.0` …, `norm` | `(B, H, W, C)`, channels last |
    /// | | `layers.0.blocks.0.attn`* … | attention, `(B · windows, heads, n, n)` for n tokens a window |
    ///
    /// Attention is no module's output but what it weighs its values with: rows are the tokens that
    /// look and sum to 1. Windows go by image, then row, then column of the map, which every second
    /// block has rolled. What has a * is computed for those who ask: no gradient goes through it.
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use cass_models::{Mode, Model, ModelOptions};
    /// # use cass_models::intermediates::Taps;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = ModelOptions { num_classes: 4, input_size: 64, ..Default::default() };
    /// # let images = Tensor::zeros((2, 3, 64, 64), DType::F32, &Device::Cpu)?;
    /// let model = Model::new("resnet18", &options)?.frozen()?;
    /// let output = model.forward_with(&images, Mode::Eval, &Taps::new(["layer4"]).with_gradients())?;
    /// let map = output.intermediates.get("layer4").ok_or("not asked for")?; // (2, 512, 2, 2)
    /// // As in Grad-CAM: by how much would the score of class 3 rise with each value of the map?
    /// let score = Tensor::new(&[[0f32, 0., 0., 1.]], &Device::Cpu)?.broadcast_as((2, 4))?;
    /// let slopes = output.logits.backward_from(&score)?.of(map).cloned();
    /// assert_eq!(slopes.ok_or("nothing depends on it")?.dims(), [2, 512, 2, 2]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// If a name is none of [`intermediate_names`](Model::intermediate_names), or as
    /// [`forward`](Model::forward).
    pub fn forward_with(&self, images: &Tensor, mode: Mode, taps: &Taps) -> Result<Output> {
        let names = &self.intermediate_names;
        let mut collector = Collector::new(taps, &self.name, names, self.recompute)?;
        let images = self.images.of(images)?;
        let [features, logits] = self.network.forward(&images, mode, &mut collector)?;
        Ok(Output {
            logits,
            features,
            intermediates: collector.finish(names),
        })
    }

    /// What the classifier sees.
    pub fn readout(&self) -> Readout {
        self.config.readout()
    }

    /// The intermediate outputs that show the network layer by layer: what the stem and every block
    /// pass on, in the order of computation.
    pub fn layers(&self) -> impl Iterator<Item = &str> {
        let names = self.intermediate_names.iter().map(String::as_str);
        names.filter(|name| self.config.family().is_layer(name))
    }

    /// What [`forward_with`](Model::forward_with) can be asked for, in the order of computation.
    pub fn intermediate_names(&self) -> &[String] {
        &self.intermediate_names
    }

    /// Whether a backward pass computes the network's blocks again, one at a time, instead of keeping
    /// what each of them needs: a third more time for a fraction of the memory. Results and gradients
    /// are the same to the bit. A pass that is asked for intermediate outputs keeps everything.
    pub fn set_recompute(&mut self, recompute: bool) {
        self.recompute = recompute;
    }

    /// Says by which statistics the weights want images normalised. Images come normalised by those of
    /// ImageNet, whatever the network, so that two networks can see one batch; where others are wanted, the
    /// network converts what it is given. Of other channels than three they are
    /// [`of_channels`](Normalization::of_channels).
    ///
    /// # Errors
    /// If the device fails.
    pub fn set_normalization(&mut self, normalization: Normalization) -> Result<()> {
        self.images = Images::normalized_by(normalization, &self.options)?;
        Ok(())
    }

    /// The statistics by which the weights want images normalised.
    pub fn normalization(&self) -> Normalization {
        self.images.normalization
    }

    /// Features `(B, D)` to logits `(B, K)`: the classifier alone.
    ///
    /// The two heads of a distilled DeiT both see the features here, the mean of its two tokens; in
    /// [`forward`](Model::forward) each sees its own token.
    ///
    /// # Errors
    /// If the features have another width than the network's.
    pub fn classify(&self, features: &Tracked) -> Result<Tracked> {
        Ok(self.network.classify(features)?)
    }

    /// The features alone, `(B, D)`.
    ///
    /// # Errors
    /// As [`forward`](Model::forward).
    pub fn features(&self, images: &Tensor, mode: Mode) -> Result<Tracked> {
        let mut nothing = Collector::nothing(self.recompute);
        let images = self.images.of(images)?;
        Ok(self.network.features(&images, mode, &mut nothing)?)
    }

    /// The same network over the same variables, without a graph.
    ///
    /// # Errors
    /// None in practice: the variables are known to fit.
    pub fn frozen(&self) -> Result<Self> {
        self.over(self.params.clone(), true, self.fixed.clone())
    }

    /// The same network over the same variables, of whose parameters only those train that `trains` says yes to.
    ///
    /// # Errors
    /// None in practice: the variables are known to fit.
    pub fn training(&self, trains: impl Fn(&str) -> bool) -> Result<Self> {
        let names = self.params.trainable().into_iter().map(|(name, _)| name);
        let fixed = names.filter(|name| !trains(name)).collect();
        self.over(self.params.clone(), false, Arc::new(fixed))
    }

    /// The parameters that training changes: all, unless the network is of [`training`](Model::training).
    pub fn trained(&self) -> Vec<(String, Var)> {
        let all = self.params.trainable().into_iter();
        all.filter(|(name, _)| !self.fixed.contains(name)).collect()
    }

    /// The layer of each parameter, counted from the image on: 0 is the stem, each block one more, and the
    /// classifier the last (timm's `group_parameters`, which layer-wise decay of learning rates goes by).
    ///
    /// ```
    /// # use cass_models::{Model, ModelOptions};
    /// let options = ModelOptions { input_size: 32, ..ModelOptions::default() };
    /// let layers = Model::new("vit_tiny_patch16_224", &options)?.parameter_layers();
    /// assert_eq!((layers["cls_token"], layers["blocks.0.norm1.weight"]), (0, 1));
    /// assert_eq!((layers["norm.weight"], layers["head.weight"]), (12, 13));
    /// # Ok::<(), cass_models::Error>(())
    /// ```
    pub fn parameter_layers(&self) -> HashMap<String, usize> {
        let family = self.config.family();
        let names = self.params.trainable().into_iter().map(|(name, _)| name);
        let places: Vec<(Place, String)> = names.map(|name| (family.place(&name), name)).collect();
        let sorted: BTreeSet<Place> = places.iter().map(|(place, _)| *place).collect();
        let mut last = 0;
        let mut layers = HashMap::new();
        for (i, place) in sorted.into_iter().enumerate() {
            // What stands behind a block counts with it.
            last += usize::from(i > 0 && !matches!(place, Place::Block([_, usize::MAX])));
            layers.insert(place, last);
        }
        let of = |(place, name): (Place, String)| (name, layers[&place]);
        places.into_iter().map(of).collect()
    }

    /// A network of the same shape and values with variables of its own.
    ///
    /// # Errors
    /// If memory cannot be copied on the device.
    pub fn deep_copy(&self) -> Result<Self> {
        let mut copy = Self::from_config(&self.name, self.config, &self.options)?;
        copy.images = self.images.clone();
        copy.params.copy_from(&self.params)?;
        if self.fixed.is_empty() {
            Ok(copy)
        } else {
            copy.over(copy.params.clone(), false, self.fixed.clone())
        }
    }

    fn over(&self, params: Arc<Params>, frozen: bool, fixed: Arc<HashSet<String>>) -> Result<Self> {
        let trains = |name: &str| !frozen && !fixed.contains(name);
        let vb = Builder::attach(&params, &trains);
        let network = self.config.family().build(&self.options, &vb)?;
        drop(vb);
        Ok(Self {
            name: self.name.clone(),
            classifier: self.classifier.clone(),
            config: self.config,
            options: self.options.clone(),
            params,
            network,
            intermediate_names: self.intermediate_names.clone(),
            recompute: self.recompute,
            images: self.images.clone(),
            fixed,
        })
    }

    /// The classifier's trainable parameters.
    pub fn classifier_params(&self) -> Vec<(String, Var)> {
        self.split_params(true)
    }

    /// The trainable parameters that features depend on: all but the classifier's.
    pub fn backbone_params(&self) -> Vec<(String, Var)> {
        self.split_params(false)
    }

    fn split_params(&self, of_classifier: bool) -> Vec<(String, Var)> {
        let all = self.params.trainable().into_iter();
        all.filter(|(name, _)| self.classifier.contains(name) == of_classifier)
            .collect()
    }

    /// Names of the classifier's parameters, each weight before its bias.
    pub(crate) fn classifier_names(&self) -> &[String] {
        &self.classifier
    }

    pub(crate) fn network(&self) -> &dyn Network {
        &*self.network
    }
}

fn parameters_of(layers: &[&str]) -> Vec<String> {
    let both = |layer: &&str| ["weight", "bias"].map(|name| format!("{layer}.{name}"));
    layers.iter().flat_map(both).collect()
}
