//! Where Candle's own layer norm loses a gradient, and ours has it.
//!
//! `cargo run -p cass-ops --example gradients`

use candle_core::{Device, Result, Tensor, Var};
use cass_ops::Tracked;

fn main() -> Result<()> {
    let x = Var::new(&[[1f32, 2., 4.], [0., -1., 3.]], &Device::Cpu)?;
    let weight = Var::new(&[1f32, 2., 3.], &Device::Cpu)?;
    let bias = Var::new(&[0f32, 0., 0.], &Device::Cpu)?;

    let candle = candle_nn::ops::layer_norm(&x, &weight, &bias, 1e-6)?;
    let [tx, tweight, tbias] = [&x, &weight, &bias].map(Tracked::from);
    let ours = cass_ops::nn::layer_norm(&tx, &tweight, &tbias, 1e-6)?;
    println!("forward, Candle's and ours:\n{candle}\n{}", ours.value());

    let twice_y = (ours.value() * 2.0)?; // the gradient of the sum of squares
    let candle = candle.sqr()?.sum_all()?.backward()?;
    let ours = ours.backward_from(&twice_y)?;
    let print = |name, dx: Option<&Tensor>| match dx {
        Some(dx) => println!("{name}: dx =\n{dx}"),
        None => println!("{name}: no gradient for x"),
    };
    print("Candle", candle.get(&x));
    print("cass-ops", ours.get(&x));
    Ok(())
}
