//! Where Candle's own layer norm loses a gradient, and ours has it.
//!
//! `cargo run -p cass-ops --example gradients`

use candle_core::{Device, Result, Var};

fn main() -> Result<()> {
    let x = Var::new(&[[1f32, 2., 4.], [0., -1., 3.]], &Device::Cpu)?;
    let weight = Var::new(&[1f32, 2., 3.], &Device::Cpu)?;
    let bias = Var::new(&[0f32, 0., 0.], &Device::Cpu)?;

    let candle = candle_nn::ops::layer_norm(&x, &weight, &bias, 1e-6)?;
    let ours = cass_ops::layer_norm(&x, &weight, &bias, 1e-6)?;
    println!("forward, Candle's and ours:\n{candle}\n{ours}");

    for (name, y) in [("Candle", candle), ("cass-ops", ours)] {
        let grads = y.sqr()?.sum_all()?.backward()?;
        match grads.get(&x) {
            Some(dx) => println!("{name}: dx =\n{dx}"),
            None => println!("{name}: no gradient for x"),
        }
    }
    Ok(())
}
