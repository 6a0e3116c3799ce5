//! Everything that can be wrong with a file of weights.

use super::{Outcome, model, new_head, refused, says};
use candle_core::{DType, Device, Tensor};
use std::error::Error;

#[test]
fn tensors_that_do_not_fit_are_named() -> Outcome {
    let fresh = model(5, 32, 0)?;
    let whole = || -> cass_models::Result<_> { Ok(fresh.params().tensors()?) };
    let mut t = whole()?;
    t.remove("norm.weight");
    refused(&fresh, t, "norm.weight is missing")?;
    let mut t = whole()?;
    t.insert(
        "blocks.12.x".into(),
        Tensor::zeros(1, DType::F32, &Device::Cpu)?,
    );
    refused(&fresh, t, "blocks.12.x is not of vit_tiny_patch16_224")?;
    let mut t = whole()?;
    t.insert(
        "blocks.0.ls1.gamma".into(),
        Tensor::zeros(1, DType::F32, &Device::Cpu)?,
    );
    refused(&fresh, t, "; vit_tiny_patch16_224,init_values=1e-5 has it")?;
    let mut t = whole()?;
    t.insert(
        "norm.bias".into(),
        Tensor::zeros(7, DType::F32, &Device::Cpu)?,
    );
    refused(&fresh, t, "norm.bias is [7], expected [192]")?;
    let mut t = whole()?;
    t.insert(
        "norm.bias".into(),
        Tensor::full(f32::NAN, 192, &Device::Cpu)?,
    );
    refused(&fresh, t, "norm.bias has values that are not finite")?;
    let t = whole()?
        .into_iter()
        .filter(|(k, _)| !k.contains("norm1"))
        .collect();
    refused(&fresh, t, "and 19 more")
}

/// A head of another class count is one all the same.
#[test]
fn half_a_head_and_crooked_positions_are_named() -> Outcome {
    let fresh = model(5, 32, 0)?;
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu);
    let with = |changes: &[(&str, &[usize])]| -> Result<_, Box<dyn Error>> {
        let mut tensors = fresh.params().tensors()?;
        for (name, shape) in changes {
            tensors.insert((*name).into(), zeros(shape)?);
        }
        Ok(tensors)
    };
    let head: [(&[usize], &[usize], &str); 3] = [
        (&[7, 9], &[7], "head.weight is [7, 9], expected [7, 192]"),
        (
            &[5, 192],
            &[7],
            "head.weight is [5, 192], expected [7, 192]",
        ),
        (
            &[7, 192],
            &[5],
            "head.weight is [7, 192], expected [5, 192]",
        ),
    ];
    for (weight, bias, expected) in head {
        refused(
            &fresh,
            with(&[("head.weight", weight), ("head.bias", bias)])?,
            expected,
        )?;
    }
    let mut without = with(&[("head.bias", &[7])])?;
    without.remove("head.weight");
    refused(&fresh, without.clone(), "head.weight is missing")?;
    // None at all is what weights for features alone have.
    without.remove("head.bias");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    candle_core::safetensors::save(&without, &file)?;
    let report = model(5, 32, 1)?.load(&file)?;
    assert_eq!(report.new_head, Some(new_head("head", 0, 5)));

    let positions: [&[usize]; 7] = [
        &[1, 6, 192],
        &[1, 1, 192],
        &[2, 10, 192],
        &[1, 10, 7],
        &[5],
        &[1, 5, 192, 1],
        &[],
    ];
    for shape in positions {
        refused(&fresh, with(&[("pos_embed", shape)])?, "pos_embed")?;
    }
    Ok(())
}

#[test]
fn files_that_are_no_weights_are_refused() -> Outcome {
    let fresh = model(5, 32, 0)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    says(&fresh, &file, "No such file")?;
    let with_header = |header: &str, data: usize| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data, b'x');
        bytes
    };
    let tensors = |fields: &str| with_header(&format!("{{{fields}}}"), 8);
    let hostile = [
        b"".to_vec(),
        b"not safetensors at all".to_vec(),
        (1u64 << 60).to_le_bytes().to_vec(), // a header of 2^60 bytes
        u64::MAX.to_le_bytes().to_vec(),
        with_header("", 4),
        with_header("\u{0}\u{0}", 4),
        with_header(&"[".repeat(100_000), 4),
        with_header(&"{\"a\":".repeat(100_000), 4),
        // Huge shapes, within and beyond 64 bits.
        tensors(r#""x":{"dtype":"F32","shape":[1073741824],"data_offsets":[0,4]}"#),
        tensors(r#""x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}"#),
        tensors(r#""x":{"dtype":"F32","shape":[2305843009213693952],"data_offsets":[0,8]}"#),
        // Overlapping, with a gap, outside, backwards, negative.
        tensors(
            r#""x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"y":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#,
        ),
        tensors(r#""x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#),
        tensors(r#""x":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}"#),
        tensors(r#""x":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}"#),
        tensors(r#""x":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}"#),
        tensors(r#""x":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}"#),
        b"PK\x03\x04 and so on".to_vec(),
    ];
    for bytes in hostile {
        std::fs::write(&file, bytes)?;
        says(&fresh, &file, "not safetensors")?;
    }
    fresh.save(&file, &[])?;
    let bytes = std::fs::read(&file)?;
    std::fs::write(&file, &bytes[..bytes.len() - 100])?;
    says(&fresh, &file, "not safetensors")
}

/// Neither is read, whatever it promises.
#[cfg(unix)]
#[test]
fn what_has_no_end_is_not_read() -> Outcome {
    let fresh = model(5, 32, 0)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    // As large as a disk; its holes take no room.
    std::fs::File::create(&file)?.set_len(1 << 40)?;
    says(&fresh, &file, "1099511627776 bytes, expected at most ")?;
    for other in ["/dev/zero", "/dev/null"] {
        std::fs::remove_file(&file)?;
        std::os::unix::fs::symlink(other, &file)?;
        says(&fresh, &file, "not a regular file")?;
    }
    says(
        &fresh,
        &folder.path().join("weights.safetensors.d"),
        "No such file",
    )?;
    std::fs::create_dir(folder.path().join("weights.safetensors.d"))?;
    says(
        &fresh,
        &folder.path().join("weights.safetensors.d"),
        "model.safetensors cannot be loaded: No such file",
    )
}
