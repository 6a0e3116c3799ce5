//! `cargo xtask golden`: runs every `fixtures/golden/*/export.py` and keeps or compares what it writes.

use crate::checkout::{succeed, workspace};
use anyhow::{Context, Result, bail, ensure};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Values may differ by this share of the largest value of their tensor: another CPU rounds differently.
/// A file whose header has a `tolerance` asks for that instead.
const TOLERANCE: f64 = 1e-4;

/// Exports into a copy under `target`, so that `check` changes nothing and a failing script spoils nothing.
pub fn golden(check: bool, python: &Path, only: Option<&str>) -> Result<ExitCode> {
    let kept = workspace().join("fixtures/golden");
    let fresh = workspace().join("target/golden");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)
            .with_context(|| format!("{} cannot be cleared", fresh.display()))?;
    }
    copy(&kept, &fresh, &|name| name.ends_with(".py"))?;
    let mut differences = 0;
    for folder in entries(&fresh)? {
        let name = file_name(&folder);
        let script = folder.join("export.py");
        if !script.is_file() || !only.is_none_or(|text| name.contains(text)) {
            continue;
        }
        // `-B`: no __pycache__ next to the scripts.
        succeed(
            Command::new(python)
                .arg("-B")
                .arg(&script)
                .current_dir(&folder),
        )
        .with_context(|| format!("{name} cannot be exported"))?;
        if !check {
            copy(&folder, &kept.join(&name), &|name| !name.ends_with(".py"))?;
            println!("{name}: written");
            continue;
        }
        for file in entries(&folder)?.iter().filter(|file| **file != script) {
            let file_name = file_name(file);
            match compare(&kept.join(&name).join(&file_name), file) {
                Ok(()) => println!("{name}/{file_name}: equal"),
                Err(difference) => {
                    println!("{name}/{file_name}: {difference:#}");
                    differences += 1;
                }
            }
        }
    }
    if differences > 0 {
        eprintln!("error: {differences} golden files differ");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn compare(kept: &Path, fresh: &Path) -> Result<()> {
    let read =
        |path: &Path| fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
    let (kept, fresh_bytes) = (read(kept)?, read(fresh)?);
    if kept == fresh_bytes {
        return Ok(());
    }
    match fresh.extension().and_then(|extension| extension.to_str()) {
        Some("safetensors") => {
            let allowed = tolerance(&kept)?;
            same(&tensors(&kept)?, &tensors(&fresh_bytes)?, allowed)
        }
        Some("json") => {
            let (mut a, mut b) = (BTreeMap::new(), BTreeMap::new());
            flatten("", &serde_json::from_slice(&kept)?, &mut a);
            flatten("", &serde_json::from_slice(&fresh_bytes)?, &mut b);
            same(&a, &b, TOLERANCE)
        }
        _ => bail!("differs"),
    }
}

type Values = BTreeMap<String, Vec<f64>>;

fn same(kept: &Values, fresh: &Values, tolerance: f64) -> Result<()> {
    ensure!(
        kept.keys().eq(fresh.keys()),
        "holds other names: {} kept, {} exported",
        kept.len(),
        fresh.len()
    );
    for (name, a) in kept {
        let b = &fresh[name];
        ensure!(
            a.len() == b.len(),
            "{name} has {} values kept, {} exported",
            a.len(),
            b.len()
        );
        let largest = a
            .iter()
            .fold(0f64, |largest, value| largest.max(value.abs()));
        for (a, b) in a.iter().zip(b) {
            let equal = (a - b).abs() <= tolerance * largest || (a.is_nan() && b.is_nan());
            ensure!(equal, "{name}: {a} kept, {b} exported (largest {largest})");
        }
    }
    Ok(())
}

fn tolerance(bytes: &[u8]) -> Result<f64> {
    let (_, header) = SafeTensors::read_metadata(bytes).context("is not a safetensors file")?;
    let given = header.metadata().as_ref().and_then(|m| m.get("tolerance"));
    given.map_or(Ok(TOLERANCE), |text| {
        text.parse()
            .with_context(|| format!("has the tolerance {text:?}"))
    })
}

fn tensors(bytes: &[u8]) -> Result<Values> {
    let file = SafeTensors::deserialize(bytes).context("is not a safetensors file")?;
    let values = file.tensors().into_iter().map(|(name, view)| {
        let data = view.data();
        let values: Vec<f64> = match view.dtype() {
            Dtype::F32 => chunks(data).map(|b| f32::from_le_bytes(b).into()).collect(),
            Dtype::F64 => chunks(data).map(f64::from_le_bytes).collect(),
            Dtype::I64 => chunks(data).map(|b| i64::from_le_bytes(b) as f64).collect(),
            Dtype::U8 | Dtype::BOOL => data.iter().map(|&byte| byte.into()).collect(),
            other => bail!("{name} is {other:?}, expected F32, F64, I64, U8 or BOOL"),
        };
        let shape: Vec<_> = view.shape().iter().map(usize::to_string).collect();
        Ok((format!("{name} ({})", shape.join(", ")), values))
    });
    values.collect()
}

fn chunks<const N: usize>(data: &[u8]) -> impl Iterator<Item = [u8; N]> {
    data.chunks_exact(N)
        .filter_map(|chunk| chunk.try_into().ok())
}

/// JSON's numbers by path; text and `null` are part of the path. A list of numbers counts as one tensor.
fn flatten(path: &str, value: &Value, into: &mut Values) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                flatten(&format!("{path}.{key}"), value, into);
            }
        }
        Value::Array(items) if items.iter().all(Value::is_number) => {
            into.insert(
                path.to_owned(),
                items.iter().filter_map(Value::as_f64).collect(),
            );
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                flatten(&format!("{path}[{index}]"), value, into);
            }
        }
        Value::Number(number) => {
            into.insert(path.to_owned(), number.as_f64().into_iter().collect());
        }
        // Versions of the packages that exported it.
        Value::String(_) if path.contains("version") => {}
        other => {
            into.insert(format!("{path} = {other}"), Vec::new());
        }
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = || format!("folder {} cannot be read", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        paths.push(entry.with_context(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn copy(from: &Path, to: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("{} cannot be created", to.display()))?;
    for path in entries(from)? {
        let target = to.join(file_name(&path));
        if path.is_dir() {
            copy(&path, &target, wanted)?;
        } else if wanted(&file_name(&path)) {
            fs::copy(&path, &target)
                .with_context(|| format!("{} cannot be written", target.display()))?;
        }
    }
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_equal_and_more_is_not() {
        let values = |list: &[f64]| Values::from([("x".to_owned(), list.to_vec())]);
        assert!(same(&values(&[1.0, 1e-9]), &values(&[1.00001, 2e-9]), TOLERANCE).is_ok());
        let error = same(&values(&[1.0, 0.5]), &values(&[1.0, 0.51]), TOLERANCE)
            .unwrap_err()
            .to_string();
        assert!(error.contains("0.5 kept, 0.51 exported"), "{error}");
        assert!(same(&values(&[1.0]), &Values::new(), TOLERANCE).is_err());
    }

    #[test]
    fn a_file_may_ask_for_another_tolerance() {
        let file = |text: &str| {
            let header = format!(r#"{{"__metadata__":{{{text}}}}}"#);
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            bytes
        };
        assert_eq!(tolerance(&file("")).unwrap(), TOLERANCE);
        assert_eq!(tolerance(&file(r#""tolerance":"0.0078""#)).unwrap(), 0.0078);
        assert!(tolerance(&file(r#""tolerance":"much""#)).is_err());
    }

    #[test]
    fn json_compares_numbers_and_text_alike() {
        let flat = |text: &str| {
            let mut values = Values::new();
            flatten("", &serde_json::from_str(text).unwrap(), &mut values);
            values
        };
        let golden = r#"{"a": [1.0, 2.0], "b": {"c": "x", "d": null}, "versions": "1"}"#;
        let alike = |text: String| same(&flat(golden), &flat(&text), TOLERANCE);
        assert!(alike(golden.replace("\"1\"", "\"2\"")).is_ok());
        assert!(alike(golden.replace("\"x\"", "\"y\"")).is_err());
        assert!(alike(golden.replace("2.0", "2.1")).is_err());
    }
}
