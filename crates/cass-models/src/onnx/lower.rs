//! Every operation of a pass as nodes of ONNX.

use super::graph::Attribute::{Float, Int, Ints};
use super::graph::Graph;
use crate::params::Params;
use candle_core::{DType, Result, Tensor, Var, bail};
use cass_ops::nn::Activation;
use cass_ops::trace::{Function, Op, Step, Trace, Value};
use std::collections::{HashMap, HashSet};

/// The input's name.
pub(super) const IMAGES: &str = "images";

/// A pass on its way into a graph. It was traced twice, on one image and on two: what differs follows the batch.
pub(super) struct Lowering<'a> {
    pub(super) graph: Graph,
    one: &'a Trace,
    two: &'a Trace,
    images: &'a Tensor,
    /// Names and values of parameters and buffers, by where the values lie.
    names: HashMap<usize, (String, Var)>,
    /// Those that the graph has.
    known: HashSet<String>,
    /// Outputs of the steps so far.
    done: Vec<String>,
}

impl<'a> Lowering<'a> {
    /// Of the traces of `images`, which are two, and of one image.
    pub(super) fn new(
        one: &'a Trace,
        two: &'a Trace,
        images: &'a Tensor,
        params: &Params,
    ) -> Result<Self> {
        // Every setting is part of the text; of a tensor, its sizes are.
        let wiring = |trace: &Trace| -> Vec<(String, Vec<Value>)> {
            let steps = trace.steps().iter();
            let steps = steps.map(|s| (format!("{:?}", s.op), s.inputs.clone()));
            steps.collect()
        };
        if wiring(one) != wiring(two) {
            bail!("what it computes depends on the number of images");
        }
        let all = params.all().into_iter();
        Ok(Self {
            graph: Graph::default(),
            one,
            two,
            images,
            names: all.map(|(name, var)| (place(&var), (name, var))).collect(),
            known: HashSet::new(),
            done: Vec::with_capacity(two.steps().len()),
        })
    }

    /// Writes all steps.
    pub(super) fn run(&mut self) -> Result<()> {
        let two = self.two;
        for step in two.steps() {
            let inputs = step.inputs.iter().map(|&input| self.value(input));
            let inputs = inputs.collect::<Result<Vec<_>>>()?;
            let parameter = |name: &&String| self.known.contains(name.as_str());
            if let Some((scope, _)) = inputs
                .iter()
                .find(parameter)
                .and_then(|n| n.rsplit_once('.'))
            {
                self.graph.scope = scope.into();
            }
            let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
            let name = self.step(step, &inputs)?;
            self.done.push(name);
        }
        self.graph.scope.clear();
        Ok(())
    }

    /// The name of a value.
    pub(super) fn value(&mut self, value: Value) -> Result<String> {
        match value {
            Value::Step(step) => Ok(self.done[step].clone()),
            Value::Leaf(leaf) => {
                let (one, two) = (&self.one.leaves()[leaf], &self.two.leaves()[leaf]);
                if two.id() == self.images.id() {
                    return Ok(IMAGES.into());
                }
                if one.dims() != two.dims() {
                    bail!("a constant {:?} follows the number of images", two.dims());
                }
                self.tensor(two)
            }
        }
    }

    /// The name of a parameter, or of a constant.
    pub(super) fn tensor(&mut self, tensor: &Tensor) -> Result<String> {
        let values = || tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>();
        // A view that turns or shortens the values is a constant.
        let is_whole = |var: &Var| tensor.is_contiguous() && tensor.dims() == var.dims();
        let Some((name, _)) = (self.names.get(&place(tensor))).filter(|(_, var)| is_whole(var))
        else {
            return Ok(self.graph.floats(tensor.dims(), &values()?));
        };
        if self.known.insert(name.clone()) {
            self.graph.tensor(name, tensor.dims(), &values()?);
        }
        Ok(name.clone())
    }

    /// Sizes of a value, -1 where they follow the batch.
    fn sizes(&self, value: Value) -> Vec<i64> {
        let of = |trace: &Trace| match value {
            Value::Step(step) => trace.steps()[step].shape.clone(),
            Value::Leaf(leaf) => trace.leaves()[leaf].dims().to_vec(),
        };
        let pairs = of(self.one).into_iter().zip(of(self.two));
        pairs
            .map(|(one, two)| if one == two { two as i64 } else { -1 })
            .collect()
    }

    fn step(&mut self, step: &Step, inputs: &[&str]) -> Result<String> {
        let number = Value::Step(self.done.len());
        let rank = step.shape.len();
        let x = inputs[0];
        Ok(match &step.op {
            Op::Conv2d(c) => {
                let pads = Ints(vec![c.padding as i64; 4]);
                let strides = Ints(vec![c.stride as i64; 2]);
                let group = Int(c.groups as i64);
                let attributes = vec![("strides", strides), ("pads", pads), ("group", group)];
                self.graph.node("Conv", inputs, attributes)
            }
            Op::MaxPool2d(c) => {
                let kernel = Ints(vec![c.kernel_size as i64; 2]);
                let strides = Ints(vec![c.stride as i64; 2]);
                let pads = Ints(vec![c.padding as i64; 4]);
                let attributes = vec![
                    ("kernel_shape", kernel),
                    ("strides", strides),
                    ("pads", pads),
                ];
                self.graph.node("MaxPool", inputs, attributes)
            }
            Op::AvgPool2d(c) => {
                let kernel = Ints(vec![c.kernel_size as i64; 2]);
                let strides = Ints(vec![c.stride as i64; 2]);
                let ceil = Int(c.ceil_mode.into());
                let attributes = vec![
                    ("kernel_shape", kernel),
                    ("strides", strides),
                    ("ceil_mode", ceil),
                ];
                self.graph.node("AveragePool", inputs, attributes)
            }
            Op::BatchNorm {
                mean,
                var,
                eps,
                activation,
            } => {
                let (mean, var) = (self.tensor(mean)?, self.tensor(var)?);
                let operands = [x, inputs[1], inputs[2], &mean, &var];
                let epsilon = vec![("epsilon", Float(*eps))];
                let mut y = self.graph.node("BatchNormalization", &operands, epsilon);
                if let Some(residual) = inputs.get(3) {
                    y = self.plain("Add", &[&y, residual]);
                }
                match activation {
                    Activation::Identity => y,
                    Activation::Relu => self.function(Function::Relu, &y),
                    Activation::Relu6 => self.function(Function::Relu6, &y),
                    Activation::Silu => self.function(Function::Silu, &y),
                    Activation::HardSwish => self.function(Function::HardSwish, &y),
                }
            }
            Op::Linear { has_bias } => self.linear(inputs, *has_bias, rank),
            Op::LayerNorm { eps } => {
                let attributes = vec![("axis", Int(-1)), ("epsilon", Float(*eps))];
                self.graph.node("LayerNormalization", inputs, attributes)
            }
            Op::Attention { heads, mask } => {
                let sizes = self.sizes(step.inputs[0]);
                self.attention(inputs, &sizes, *heads as i64, mask.as_ref())?
            }
            Op::Rotary { heads, sin, cos } => {
                let sizes = self.sizes(number);
                self.rotary(x, &sizes, *heads as i64, [sin, cos])?
            }
            Op::Map(function) => self.function(*function, x),
            Op::ScaleAdd => {
                let scaled = self.plain("Mul", &[x, inputs[1]]);
                self.plain("Add", &[&scaled, inputs[2]])
            }
            Op::GatePlanes => {
                let gate = self.reshape(inputs[1], &[-1, step.shape[1] as i64, 1, 1]);
                self.plain("Mul", &[x, &gate])
            }
            Op::AddPlanes => {
                let bias = self.reshape(inputs[1], &[step.shape[1] as i64, 1, 1]);
                self.plain("Add", &[x, &bias])
            }
            Op::Reshape => {
                let sizes = self.sizes(number);
                if sizes.iter().filter(|&&size| size < 0).count() > 1 {
                    bail!(
                        "several sizes of {:?} follow the number of images",
                        step.shape
                    );
                }
                self.reshape(x, &sizes)
            }
            Op::Permute(dims) => {
                let dims: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
                self.transpose(x, &dims)
            }
            Op::Narrow { dim, start, len } => self.slice(x, *dim, *start, start + len),
            Op::Pad { dim, front, behind } => {
                let mut pads = vec![0; 2 * rank];
                (pads[*dim], pads[rank + dim]) = (*front as i64, *behind as i64);
                let pads = self.graph.ints(&pads);
                self.plain("Pad", &[x, &pads])
            }
            Op::Roll { dim, by } => {
                let len = step.shape[*dim];
                let end = by.rem_euclid(len as i32) as usize;
                let last = self.slice(x, *dim, len - end, len);
                let first = self.slice(x, *dim, 0, len - end);
                self.concat(&[&last, &first], *dim)
            }
            Op::Rows(numbers) => {
                let numbers = numbers.to_dtype(DType::I64)?.to_vec1::<i64>()?;
                let numbers = self.graph.ints(&numbers);
                self.graph
                    .node("Gather", &[x, &numbers], vec![("axis", Int(0))])
            }
            Op::Cat(dim) => self.concat(inputs, *dim),
            Op::Add => self.plain("Add", inputs),
            Op::Scale(factor) => {
                let factor = self.graph.float(*factor);
                self.plain("Mul", &[x, &factor])
            }
            Op::Mean(dim) => {
                let attributes = vec![("axes", Ints(vec![*dim as i64])), ("keepdims", Int(0))];
                self.graph.node("ReduceMean", inputs, attributes)
            }
            Op::RepeatFirst => {
                let [first, rest @ ..] = &self.sizes(number)[..] else {
                    bail!("a repeated tensor has no dimension");
                };
                if *first >= 0 || step.shape[0] != self.images.dim(0)? {
                    bail!(
                        "{:?} is repeated to another number than that of images",
                        step.shape
                    );
                }
                let rest = self.graph.ints(rest);
                let count = vec![("start", Int(0)), ("end", Int(1))];
                let count = self.graph.node("Shape", &[IMAGES], count);
                let shape = self.concat(&[&count, &rest], 0);
                self.plain("Expand", &[x, &shape])
            }
            Op::Contiguous | Op::Other(_) => bail!("{} has no form in ONNX here", step.op.name()),
        })
    }

    /// A node without settings.
    pub(super) fn plain(&mut self, kind: &str, inputs: &[&str]) -> String {
        self.graph.node(kind, inputs, vec![])
    }

    pub(super) fn reshape(&mut self, x: &str, sizes: &[i64]) -> String {
        let sizes = self.graph.ints(sizes);
        self.plain("Reshape", &[x, &sizes])
    }

    pub(super) fn transpose(&mut self, x: &str, dims: &[i64]) -> String {
        let attributes = vec![("perm", Ints(dims.to_vec()))];
        self.graph.node("Transpose", &[x], attributes)
    }

    pub(super) fn concat(&mut self, parts: &[&str], dim: usize) -> String {
        self.graph
            .node("Concat", parts, vec![("axis", Int(dim as i64))])
    }

    /// The places `start..end` of a dimension.
    pub(super) fn slice(&mut self, x: &str, dim: usize, start: usize, end: usize) -> String {
        let [start, end, dim] = [start, end, dim].map(|n| self.graph.ints(&[n as i64]));
        self.plain("Slice", &[x, &start, &end, &dim])
    }

    fn linear(&mut self, inputs: &[&str], has_bias: bool, rank: usize) -> String {
        let (operands, added) = inputs.split_at(2 + usize::from(has_bias));
        let (mut y, added) = if rank == 2 {
            let y = self.graph.node("Gemm", operands, vec![("transB", Int(1))]);
            (y, added)
        } else {
            let weight = self.transpose(inputs[1], &[1, 0]);
            (self.plain("MatMul", &[inputs[0], &weight]), &inputs[2..])
        };
        for summand in added {
            y = self.plain("Add", &[&y, summand]);
        }
        y
    }

    fn function(&mut self, function: Function, x: &str) -> String {
        match function {
            Function::Relu => self.plain("Relu", &[x]),
            Function::Relu6 => {
                let [low, high] = [0.0, 6.0].map(|v| self.graph.float(v));
                self.plain("Clip", &[x, &low, &high])
            }
            Function::Gelu => {
                let [root, one, half] =
                    [std::f64::consts::FRAC_1_SQRT_2, 1.0, 0.5].map(|v| self.graph.float(v));
                let y = self.plain("Mul", &[x, &root]);
                let y = self.plain("Erf", &[&y]);
                let y = self.plain("Add", &[&y, &one]);
                let y = self.plain("Mul", &[x, &y]);
                self.plain("Mul", &[&y, &half])
            }
            Function::QuickGelu => {
                let factor = self.graph.float(1.702);
                let y = self.plain("Mul", &[x, &factor]);
                let y = self.plain("Sigmoid", &[&y]);
                self.plain("Mul", &[x, &y])
            }
            Function::Silu => {
                let y = self.plain("Sigmoid", &[x]);
                self.plain("Mul", &[x, &y])
            }
            Function::Sigmoid => self.plain("Sigmoid", &[x]),
            Function::HardSigmoid => {
                let attributes = vec![("alpha", Float(1.0 / 6.0)), ("beta", Float(0.5))];
                self.graph.node("HardSigmoid", &[x], attributes)
            }
            Function::HardSwish => self.plain("HardSwish", &[x]),
        }
    }
}

/// Where a tensor's values lie, which views of it share. Two tensors that live at once have one place only if they
/// share it.
fn place(tensor: &Tensor) -> usize {
    let (storage, _) = tensor.storage_and_layout();
    std::ptr::from_ref(&*storage).addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::Init;
    use crate::params::Builder;
    use candle_core::Device;
    use cass_ops::Tracked;
    use cass_ops::trace::trace;
    use std::cell::RefCell;

    /// The traces of `f` on one image and on two, `(B, 3)`.
    fn traces(f: impl Fn(&Tracked) -> Result<Tracked>) -> Result<([Trace; 2], Tensor)> {
        let images = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
        let of = |x: &Tensor| Ok::<_, candle_core::Error>(trace(|| f(&Tracked::constant(x)))?.1);
        Ok(([of(&images.narrow(0, 0, 1)?)?, of(&images)?], images))
    }

    #[test]
    fn a_setting_that_follows_the_number_of_images_is_refused() -> Result<()> {
        let is_refused = |f: &dyn Fn(&Tracked) -> Result<Tracked>| -> Result<bool> {
            let ([one, two], images) = traces(f)?;
            Ok(Lowering::new(&one, &two, &images, &Params::default()).is_err())
        };
        assert!(is_refused(&|x| x.narrow(0, 0, x.dims()[0]))?);
        assert!(is_refused(&|x| x.scale(x.dims()[0] as f64))?);
        assert!(!is_refused(&|x| x.narrow(1, 0, 2))?);
        Ok(())
    }

    #[test]
    fn a_view_of_a_parameter_does_not_stand_for_it() -> Result<()> {
        let params = RefCell::new(Params::default());
        let vb = Builder::create(&params, 0, DType::F32, &Device::Cpu);
        let weight = vb.parameter("weight", &[3, 3], Init::Normal { std: 1.0 })?;
        drop(vb);
        let params = params.into_inner();
        let ([one, two], images) = traces(|x| Ok(x.clone()))?;
        let mut lowering = Lowering::new(&one, &two, &images, &params)?;
        assert_eq!(lowering.tensor(weight.value())?, "weight");
        assert_eq!(lowering.tensor(&weight.value().detach())?, "weight");
        for view in [weight.value().t()?, weight.value().narrow(0, 0, 2)?] {
            assert_ne!(lowering.tensor(&view)?, "weight");
        }
        Ok(())
    }
}
