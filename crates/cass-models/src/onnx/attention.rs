//! Attention and rotary positions, each of a packed projection, in ONNX's terms.

use super::graph::Attribute::Int;
use super::lower::Lowering;
use candle_core::{DType, Result, Tensor, bail};

impl Lowering<'_> {
    /// Of `(B, N, 3 · heads · D)`, and of the bias `(heads, N, N)` where it is windows'.
    pub(super) fn attention(
        &mut self,
        inputs: &[&str],
        sizes: &[i64],
        heads: i64,
        mask: Option<&Tensor>,
    ) -> Result<String> {
        let &[batch, n, width] = sizes else {
            bail!("attention of {sizes:?}: expected three dimensions");
        };
        let d = width / (3 * heads);
        let parts = self.reshape(inputs[0], &[batch, n, 3, heads, d]);
        let parts = self.transpose(&parts, &[2, 0, 3, 1, 4]); // (3, B, heads, N, D)
        let [q, k, v] = [0, 1, 2].map(|part| {
            let part = self.graph.int(part);
            self.graph
                .node("Gather", &[&parts, &part], vec![("axis", Int(0))])
        });
        let scale = self.graph.float((d as f64).sqrt().recip());
        let q = self.plain("Mul", &[&q, &scale]);
        let k = self.transpose(&k, &[0, 1, 3, 2]);
        let mut scores = self.plain("MatMul", &[&q, &k]); // (B, heads, N, N)
        if let Some(bias) = inputs.get(1) {
            scores = self.plain("Add", &[&scores, bias]);
        }
        if let Some(mask) = mask {
            let windows = mask.dim(0)? as i64;
            let mask = self.tensor(&mask.unsqueeze(1)?)?; // (windows, 1, N, N)
            scores = self.reshape(&scores, &[-1, windows, heads, n, n]);
            scores = self.plain("Add", &[&scores, &mask]);
            scores = self.reshape(&scores, &[-1, heads, n, n]);
        }
        let weights = self
            .graph
            .node("Softmax", &[&scores], vec![("axis", Int(-1))]);
        let y = self.plain("MatMul", &[&weights, &v]);
        let y = self.transpose(&y, &[0, 2, 1, 3]);
        Ok(self.reshape(&y, &[batch, n, heads * d]))
    }

    /// Of `(B, N, 3 · heads · D)`: tokens before the patches are turned by nothing.
    pub(super) fn rotary(
        &mut self,
        x: &str,
        sizes: &[i64],
        heads: i64,
        [sin, cos]: [&Tensor; 2],
    ) -> Result<String> {
        let (&[batch, n, width], (patches, half)) = (sizes, sin.dims2()?) else {
            bail!("rotary positions of {sizes:?}: expected three dimensions");
        };
        let before = n as usize - patches;
        let mut angles = |turn: &Tensor, fill: f32| -> Result<String> {
            let mut values = vec![fill; before * half];
            values.extend(turn.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?);
            Ok(self.graph.floats(&[1, n as usize, 1, 1, half], &values))
        };
        let (sin, cos) = (angles(sin, 0.0)?, angles(cos, 1.0)?);
        let x = self.reshape(x, &[batch, n, 3, heads, width / (3 * heads)]);
        let (turned, v) = (self.slice(&x, 2, 0, 2), self.slice(&x, 2, 2, 3));
        let (a, b) = (
            self.slice(&turned, 4, 0, half),
            self.slice(&turned, 4, half, 2 * half),
        );
        let [a_cos, b_sin] = [(&a, &cos), (&b, &sin)].map(|(x, t)| self.plain("Mul", &[x, t]));
        let [b_cos, a_sin] = [(&b, &cos), (&a, &sin)].map(|(x, t)| self.plain("Mul", &[x, t]));
        let first = self.plain("Sub", &[&a_cos, &b_sin]);
        let second = self.plain("Add", &[&b_cos, &a_sin]);
        let turned = self.concat(&[&first, &second], 4);
        let x = self.concat(&[&turned, &v], 2);
        Ok(self.reshape(&x, sizes))
    }
}
