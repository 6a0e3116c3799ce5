//! The operators that exported files use, as the ONNX standard defines them, over Candle's plain operations.

use candle_core::{D, DType, Device, Result, Tensor, bail};
use cass_models::onnx::proto::{FLOAT, GraphProto, NodeProto, TensorProto};
use std::collections::HashMap;

/// A tensor of f32, or of whole numbers.
#[derive(Clone)]
enum Value {
    Floats(Tensor),
    Ints { values: Vec<i64>, is_scalar: bool },
}

/// All outputs of the graph, by name.
pub fn run(graph: &GraphProto, images: &Tensor) -> Result<HashMap<String, Tensor>> {
    let mut values: HashMap<&str, Value> = HashMap::new();
    for tensor in &graph.initializer {
        values.insert(&tensor.name, constant(tensor)?);
    }
    values.insert(&graph.input[0].name, Value::Floats(images.clone()));
    for node in &graph.node {
        let inputs = node.input.iter().map(|name| values[name.as_str()].clone());
        let inputs = Inputs(node, inputs.collect());
        let output = inputs
            .evaluate()
            .map_err(|e| e.context(node.name.clone()))?;
        values.insert(&node.output[0], output);
    }
    let outputs = graph.output.iter();
    outputs
        .map(|output| match &values[output.name.as_str()] {
            Value::Floats(tensor) => Ok((output.name.clone(), tensor.clone())),
            Value::Ints { .. } => bail!("{} is of whole numbers", output.name),
        })
        .collect()
}

fn constant(tensor: &TensorProto) -> Result<Value> {
    let raw = &tensor.raw_data;
    if tensor.data_type == FLOAT {
        let values = raw.as_chunks().0.iter().map(|&v| f32::from_le_bytes(v));
        let dims: Vec<usize> = tensor.dims.iter().map(|&d| d as usize).collect();
        let values = Tensor::from_vec(values.collect::<Vec<_>>(), dims, &Device::Cpu)?;
        return Ok(Value::Floats(values));
    }
    let values = raw.as_chunks().0.iter().map(|&v| i64::from_le_bytes(v));
    Ok(Value::Ints {
        values: values.collect(),
        is_scalar: tensor.dims.is_empty(),
    })
}

struct Inputs<'a>(&'a NodeProto, Vec<Value>);

impl Inputs<'_> {
    fn floats(&self, i: usize) -> Result<&Tensor> {
        match &self.1[i] {
            Value::Floats(tensor) => Ok(tensor),
            Value::Ints { .. } => bail!("input {i} is of whole numbers"),
        }
    }

    fn ints(&self, i: usize) -> Result<&[i64]> {
        match &self.1[i] {
            Value::Ints { values, .. } => Ok(values),
            Value::Floats(_) => bail!("input {i} is of f32"),
        }
    }

    fn attribute(&self, name: &str) -> Option<&cass_models::onnx::proto::AttributeProto> {
        self.0.attribute.iter().find(|a| a.name == name)
    }

    fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name)?.i
    }

    fn float(&self, name: &str) -> f64 {
        self.attribute(name)
            .and_then(|a| a.f)
            .unwrap_or(f32::NAN)
            .into()
    }

    /// The one number of a list of equal ones.
    fn one_of(&self, name: &str) -> Result<usize> {
        match self.attribute(name).map(|a| &a.ints[..]) {
            Some([first, rest @ ..]) if rest.iter().all(|v| v == first) => Ok(*first as usize),
            other => bail!("{name} is {other:?}"),
        }
    }

    fn evaluate(&self) -> Result<Value> {
        let x = || self.floats(0);
        let unary = |f: &dyn Fn(&Tensor) -> Result<Tensor>| f(x()?);
        let binary = |f: &dyn Fn(&Tensor, &Tensor) -> Result<Tensor>| f(x()?, self.floats(1)?);
        Ok(Value::Floats(match self.0.op_type.as_str() {
            "Identity" => x()?.clone(),
            "Add" => binary(&|a, b| a.broadcast_add(b))?,
            "Sub" => binary(&|a, b| a.broadcast_sub(b))?,
            "Mul" => binary(&|a, b| a.broadcast_mul(b))?,
            "MatMul" => binary(&|a, b| a.contiguous()?.broadcast_matmul(&b.contiguous()?))?,
            "Relu" => unary(&|x| x.relu())?,
            "Erf" => unary(&|x| x.erf())?,
            "Sigmoid" => unary(&|x| (x.neg()?.exp()? + 1.0)?.recip())?,
            "HardSigmoid" => {
                let (alpha, beta) = (self.float("alpha"), self.float("beta"));
                x()?.affine(alpha, beta)?.clamp(0f32, 1f32)?
            }
            "HardSwish" => (x()? * x()?.affine(1.0 / 6.0, 0.5)?.clamp(0f32, 1f32)?)?,
            "Clip" => {
                let [low, high] = [1, 2].map(|i| self.floats(i)?.to_scalar::<f32>());
                x()?.clamp(low?, high?)?
            }
            "Softmax" if self.int("axis") == Some(-1) => candle_nn::ops::softmax(x()?, D::Minus1)?,
            "Conv" => {
                let (stride, padding) = (self.one_of("strides")?, self.one_of("pads")?);
                let groups = self.int("group").unwrap_or(1) as usize;
                x()?.conv2d(self.floats(1)?, padding, stride, 1, groups)?
            }
            "MaxPool" => {
                let (k, p) = (self.one_of("kernel_shape")?, self.one_of("pads")?);
                // What is padded never wins: it follows a ReLU or is as low.
                let low = x()?.min_all()?.to_scalar::<f32>()?;
                let x = (x()? - f64::from(low))?.pad_with_zeros(2, p, p)?;
                let y = x.pad_with_zeros(3, p, p)?;
                (y.max_pool2d_with_stride(k, self.one_of("strides")?)? + f64::from(low))?
            }
            "AveragePool" => self.average_pool()?,
            "BatchNormalization" => {
                let [w, b, mean, var] =
                    [1, 2, 3, 4].map(|i| self.floats(i)?.reshape((1, (), 1, 1)));
                let scale = (w? / (var? + self.float("epsilon"))?.sqrt()?)?;
                let centred = x()?.broadcast_sub(&mean?)?;
                centred.broadcast_mul(&scale)?.broadcast_add(&b?)?
            }
            "LayerNormalization" if self.int("axis") == Some(-1) => {
                let centred = x()?.broadcast_sub(&x()?.mean_keepdim(D::Minus1)?)?;
                let var = centred.sqr()?.mean_keepdim(D::Minus1)?;
                let y = centred.broadcast_div(&(var + self.float("epsilon"))?.sqrt()?)?;
                y.broadcast_mul(self.floats(1)?)?
                    .broadcast_add(self.floats(2)?)?
            }
            "Gemm" if self.int("transB") == Some(1) => {
                let y = x()?.matmul(&self.floats(1)?.t()?)?;
                match self.1.get(2) {
                    Some(_) => y.broadcast_add(self.floats(2)?)?,
                    None => y,
                }
            }
            "Reshape" => x()?.reshape(self.shape(1)?)?,
            "Expand" => x()?.broadcast_as(self.shape(1)?)?.contiguous()?,
            "Transpose" => {
                let perm = self
                    .attribute("perm")
                    .map(|a| a.ints.iter().map(|&d| d as usize));
                x()?.permute(perm.into_iter().flatten().collect::<Vec<_>>())?
            }
            "Slice" => {
                let (start, end, dim) = (self.ints(1)?[0], self.ints(2)?[0], self.ints(3)?[0]);
                x()?.narrow(dim as usize, start as usize, (end - start) as usize)?
            }
            "Concat" => return self.concat(),
            "Gather" => self.gather()?,
            "Pad" => {
                let (pads, mut y) = (self.ints(1)?, x()?.clone());
                let rank = y.rank();
                for dim in 0..rank {
                    y = y.pad_with_zeros(dim, pads[dim] as usize, pads[rank + dim] as usize)?;
                }
                y
            }
            "ReduceMean" if self.int("keepdims") == Some(0) => x()?.mean(self.one_of("axes")?)?,
            "Shape" => {
                let [start, end] =
                    ["start", "end"].map(|name| self.int(name).unwrap_or(0) as usize);
                let sizes = &x()?.dims()[start..end];
                return Ok(Value::Ints {
                    values: sizes.iter().map(|&size| size as i64).collect(),
                    is_scalar: false,
                });
            }
            other => bail!("{other} is not known, or not with these settings"),
        }))
    }

    /// The list of sizes in input `i`, the one that is -1 filled in.
    fn shape(&self, i: usize) -> Result<Vec<usize>> {
        let sizes = self.ints(i)?;
        let given: i64 = sizes.iter().filter(|&&size| size >= 0).product();
        let missing = self.floats(0)?.elem_count() as i64 / given.max(1);
        let size = |&size: &i64| if size < 0 { missing } else { size } as usize;
        Ok(sizes.iter().map(size).collect())
    }

    fn concat(&self) -> Result<Value> {
        if let Some(Value::Ints { .. }) = self.1.first() {
            let parts = (0..self.1.len()).map(|i| self.ints(i).map(<[i64]>::to_vec));
            return Ok(Value::Ints {
                values: parts.collect::<Result<Vec<_>>>()?.concat(),
                is_scalar: false,
            });
        }
        let parts = (0..self.1.len()).map(|i| self.floats(i));
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let dim = self.int("axis").unwrap_or(0) as usize;
        Ok(Value::Floats(Tensor::cat(&parts, dim)?))
    }

    fn gather(&self) -> Result<Tensor> {
        let Value::Ints { values, is_scalar } = &self.1[1] else {
            bail!("places are of f32");
        };
        let dim = self.int("axis").unwrap_or(0) as usize;
        let places: Vec<u32> = values.iter().map(|&v| v as u32).collect();
        let y = self.floats(0)?.contiguous()?;
        let y = y.index_select(&Tensor::new(places, y.device())?, dim)?;
        if *is_scalar { y.squeeze(dim) } else { Ok(y) }
    }

    /// Windows over the border are the mean of what lies inside.
    fn average_pool(&self) -> Result<Tensor> {
        let (x, k) = (self.floats(0)?, self.one_of("kernel_shape")?);
        let rest = |size: usize| match self.int("ceil_mode") {
            Some(1) => (k - size % k) % k,
            _ => 0,
        };
        if self.one_of("strides")? != k {
            bail!("windows overlap");
        }
        let pad = |x: &Tensor| -> Result<Tensor> {
            let (_, _, h, w) = x.dims4()?;
            x.pad_with_zeros(2, 0, rest(h))?
                .pad_with_zeros(3, 0, rest(w))
        };
        let inside = pad(&Tensor::ones(x.shape(), DType::F32, x.device())?)?;
        pad(x)?.avg_pool2d(k)? / inside.avg_pool2d(k)?
    }
}
