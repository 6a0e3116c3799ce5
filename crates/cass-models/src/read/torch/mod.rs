//! Files of `torch.save`: a zip archive of a pickle and of the numbers that its tensors view.

mod pickle;

use super::MOST_SIDES;
use crate::text::printable;
use candle_core::{DType, Device, Tensor};
use pickle::{Storage, Strided};
use std::collections::HashMap;
use std::io::{Cursor, Read as _};
use zip::ZipArchive;

/// What the pickle may take.
const LONGEST_PICKLE: u64 = 256 << 20;

type Outcome<T> = std::result::Result<T, String>;

/// How a file is converted that this reader does not take.
pub(super) const CONVERT: &str = "in Python, state = torch.load(FILE, map_location=\"cpu\") and \
     safetensors.torch.save_file(state, \"weights.safetensors\") write one that is taken";

/// The tensors of a file. Nothing in it is run, and tensors larger than `limit` bytes together are
/// refused, however few bytes they share.
pub(super) fn read(bytes: &[u8], limit: u64) -> Outcome<HashMap<String, Tensor>> {
    let say = |e: &dyn std::fmt::Display| printable(&e.to_string());
    let mut archive = ZipArchive::new(Cursor::new(bytes))
        .map_err(|e| format!("not a whole file of torch.save: {}", say(&e)))?;
    let names = archive.file_names().filter_map(|name| name.ok());
    let pickle = names.map(String::from).find_map(|name| {
        let root = name.strip_suffix("data.pkl")?;
        (root.is_empty() || root.ends_with('/')).then(|| root.to_string())
    });
    let root = pickle.ok_or("a zip archive without data.pkl, so not one of torch.save")?;
    if let Ok(order) = entry(&mut archive, &format!("{root}byteorder"), 16)
        && order != b"little"
    {
        return Err(format!("numbers of a big-endian machine; {CONVERT}"));
    }
    let pickle = entry(&mut archive, &format!("{root}data.pkl"), LONGEST_PICKLE)?;
    let mut storages: HashMap<String, (DType, Vec<u8>)> = HashMap::new();
    let (mut room, mut tensors) = (limit, HashMap::new());
    for (name, view) in pickle::tensors(&pickle)? {
        if name != printable(&name) || name.is_empty() {
            return Err(format!("{:?} is no name of a tensor", printable(&name)));
        }
        let wrong = |why: String| format!("{name}: {why}");
        // Masks and the like are nothing that a network here has.
        let Some(dtype) = dtype_of(&view.storage.class) else {
            continue;
        };
        let size = bytes_of(&view, dtype).map_err(wrong)?;
        room = room
            .checked_sub(size)
            .ok_or_else(|| format!("its tensors take more than {limit} bytes"))?;
        let key = &view.storage.key;
        if !storages.contains_key(key) {
            let data = storage(&mut archive, &root, &view.storage, dtype, limit).map_err(wrong)?;
            storages.insert(key.clone(), (dtype, data));
        }
        let (of, data) = &storages[key];
        if *of != dtype || data.len() < view.storage.count.saturating_mul(dtype.size_in_bytes()) {
            return Err(wrong(format!("storage {key} is of two kinds")));
        }
        let data = gather(&view, data, dtype.size_in_bytes());
        let tensor = Tensor::from_raw_buffer(&data, dtype, &view.sizes, &Device::Cpu);
        tensors.insert(name.clone(), tensor.map_err(|e| wrong(say(&e)))?);
    }
    Ok(tensors)
}

fn entry(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str, limit: u64) -> Outcome<Vec<u8>> {
    let file = archive.by_name(name);
    let file = file.map_err(|e| format!("{}: {}", printable(name), printable(&e.to_string())))?;
    let mut data = Vec::new();
    let read = file.take(limit + 1).read_to_end(&mut data);
    read.map_err(|e| format!("{}: {}", printable(name), printable(&e.to_string())))?;
    if data.len() as u64 > limit {
        return Err(format!("{} takes more than {limit} bytes", printable(name)));
    }
    Ok(data)
}

fn storage(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    root: &str,
    storage: &Storage,
    dtype: DType,
    limit: u64,
) -> Outcome<Vec<u8>> {
    let name = format!("{root}data/{}", storage.key);
    let expected = storage.count.saturating_mul(dtype.size_in_bytes());
    let data = entry(archive, &name, limit.min(expected as u64))?;
    if data.len() != expected {
        return Err(format!(
            "storage {} has {} bytes, expected {expected}",
            storage.key,
            data.len()
        ));
    }
    Ok(data)
}

fn dtype_of(class: &str) -> Option<DType> {
    Some(match class {
        "FloatStorage" => DType::F32,
        "DoubleStorage" => DType::F64,
        "HalfStorage" => DType::F16,
        "BFloat16Storage" => DType::BF16,
        "LongStorage" => DType::I64,
        "IntStorage" => DType::I32,
        "ShortStorage" => DType::I16,
        "ByteStorage" => DType::U8,
        _ => return None,
    })
}

/// What the tensor takes by itself, if its view lies inside its storage.
fn bytes_of(view: &Strided, dtype: DType) -> Outcome<u64> {
    let (sizes, strides) = (&view.sizes, &view.strides);
    if sizes.len() != strides.len() || sizes.len() > MOST_SIDES || sizes.contains(&0) {
        return Err(format!(
            "{} sides and {} strides: expected as many, at most {MOST_SIDES}, no side of 0",
            sizes.len(),
            strides.len()
        ));
    }
    let outside = || "it reaches beyond its storage".to_string();
    let reach = sizes
        .iter()
        .zip(strides)
        .try_fold(view.offset, |last, (&size, &stride)| {
            last.checked_add((size - 1).checked_mul(stride)?)
        });
    if reach.ok_or_else(outside)? >= view.storage.count {
        return Err(outside());
    }
    let count = sizes
        .iter()
        .try_fold(dtype.size_in_bytes() as u64, |count, &size| {
            count.checked_mul(size as u64)
        });
    count.ok_or_else(outside)
}

/// The view's elements in rows after each other.
fn gather(view: &Strided, data: &[u8], element: usize) -> Vec<u8> {
    let count: usize = view.sizes.iter().product();
    let mut gathered = Vec::with_capacity(count * element);
    let mut place = vec![0; view.sizes.len()];
    for _ in 0..count {
        let steps = place
            .iter()
            .zip(&view.strides)
            .map(|(at, stride)| at * stride);
        let at = (view.offset + steps.sum::<usize>()) * element;
        gathered.extend_from_slice(&data[at..at + element]);
        for (at, &size) in place.iter_mut().zip(&view.sizes).rev() {
            *at += 1;
            if *at < size {
                break;
            }
            *at = 0;
        }
    }
    gathered
}

#[cfg(test)]
mod tests;
