//! `cass bench ops --against-cpu`: what a device computes in f32, against a CPU in f64.

use super::case::{Case, relative_error};
use crate::say::Report;
use candle_core::{DType, Device, Result, Tensor, Var};
use cass_ops::Tracked;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// f32 rounds by far less over the sums of these operations; TF32 and a mistake do not.
const TOLERANCE: f64 = 1e-4;

/// One operation: the relative error by norm of its values and of its worst gradient, or what failed.
struct Row {
    op: &'static str,
    shape: String,
    found: std::result::Result<[f64; 2], String>,
}

impl Row {
    fn passed(&self) -> bool {
        let within = |errors: &[f64; 2]| errors.iter().all(|&error| error <= TOLERANCE);
        self.found.as_ref().is_ok_and(within)
    }

    fn json(&self) -> Value {
        let [values, gradient] = match &self.found {
            Ok(errors) => errors.map(Some),
            Err(_) => [None, None],
        };
        json!({
            "op": self.op,
            "shape": self.shape,
            "values": values,
            "gradient": gradient,
            "error": self.found.as_ref().err(),
            "passed": self.passed(),
        })
    }
}

/// Compares every operation; a failure of one does not stop the others.
pub fn compare<'a>(cases: impl Iterator<Item = &'a Case>, device: &Device) -> Report {
    let rows = cases.map(|case| Row {
        op: case.op,
        shape: case.shape(),
        found: errors(case, device).map_err(|error| {
            // One line, without the backtrace that Candle may append.
            let text = error.to_string();
            text.lines().next().unwrap_or_default().to_owned()
        }),
    });
    let rows: Vec<Row> = rows.collect();
    let passed = rows.iter().all(Row::passed);
    let mut text = String::new();
    for row in &rows {
        let (op, shape) = (row.op, &row.shape);
        let found = match &row.found {
            Ok([values, gradient]) => format!("values {values:.1e}, gradient {gradient:.1e}"),
            Err(error) => error.clone(),
        };
        let said = if row.passed() { "pass" } else { "FAILED" };
        let _ = writeln!(text, "{said:6}  {op:20} {shape:40} {found}");
    }
    let name = cass_train::device::device_name(device);
    let failed = rows.iter().filter(|row| !row.passed()).count();
    let _ = write!(
        text,
        "{} operations on {name} against a CPU in f64, {failed} off by more than {TOLERANCE:e}",
        rows.len()
    );
    let json = json!({
        "kind": "bench-ops-against-cpu",
        "device": name,
        "tolerance": TOLERANCE,
        "launches": cass_ops::gpu::launches(),
        "ops": rows.iter().map(Row::json).collect::<Vec<_>>(),
        "passed": passed,
    });
    Report {
        passed,
        ..Report::done(text, json)
    }
}

fn errors(case: &Case, device: &Device) -> Result<[f64; 2]> {
    let inputs = case.draw()?;
    let (y, gradients) = pass(case, &inputs, DType::F32, device)?;
    let (wanted, wanted_gradients) = pass(case, &inputs, DType::F64, &Device::Cpu)?;
    let mut worst = 0.0;
    for (gradient, wanted) in gradients.iter().zip(&wanted_gradients) {
        let error = relative_error(gradient, wanted)?;
        // A NaN stays.
        worst = if error <= worst { worst } else { error };
    }
    Ok([relative_error(&y, &wanted)?, worst])
}

/// Values and the gradients of all that is trained.
fn pass(
    case: &Case,
    inputs: &[Tensor],
    dtype: DType,
    device: &Device,
) -> Result<(Tensor, Vec<Tensor>)> {
    let moved = inputs.iter().map(|input| {
        let there = input.detach().to_dtype(dtype)?.to_device(device)?;
        Ok(match input.is_variable() {
            true => Var::from_tensor(&there)?.as_tensor().clone(),
            false => there,
        })
    });
    let moved = moved.collect::<Result<Vec<_>>>()?;
    let tracked: Vec<Tracked> = moved.iter().map(Tracked::from).collect();
    let y = (case.ours)(&tracked)?;
    let values = y.value().clone();
    let probe = super::case::random(values.dims(), 99, |x| x)?;
    let probe = probe.to_dtype(dtype)?.to_device(device)?;
    let found = y.backward_from(&probe)?;
    let trained = moved.iter().filter(|input| input.is_variable());
    let gradients = trained.map(|input| match found.get(input) {
        Some(gradient) => Ok(gradient.clone()),
        None => candle_core::bail!("an input has no gradient"),
    });
    Ok((values, gradients.collect::<Result<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::super::case::{Candles, Input};
    use super::*;

    fn case(ours: super::super::case::Ours) -> Case {
        Case {
            op: "relu",
            inputs: vec![Input::trained(&[3, 5])],
            ours,
            candle: ("none", Box::new(|t: &[Tensor]| Ok(t[0].clone())) as Candles),
            multiply_adds: 0,
        }
    }

    #[test]
    fn every_difference_is_told_and_none_stops_the_others() {
        let right = case(Box::new(|t| cass_ops::nn::relu(&t[0])));
        // In f32 alone, as a device's kernels might be.
        let wrong = case(Box::new(|t| match t[0].value().dtype() {
            DType::F32 => cass_ops::nn::gelu(&t[0]),
            _ => cass_ops::nn::relu(&t[0]),
        }));
        let broken = case(Box::new(|t| t[0].reshape((7, 2))));
        let report = compare([&wrong, &broken, &right].into_iter(), &Device::Cpu);
        assert!(!report.passed);
        let lines: Vec<_> = report.text.lines().collect();
        assert!(lines[0].starts_with("FAILED  relu") && lines[0].contains("gradient "));
        assert!(lines[1].starts_with("FAILED  relu"), "{}", lines[1]);
        assert!(lines[2].starts_with("pass    relu"), "{}", lines[2]);
        assert!(lines[3].contains("3 operations on cpu") && lines[3].contains("2 off by"));
        assert!(compare([&right].into_iter(), &Device::Cpu).passed);
    }
}
