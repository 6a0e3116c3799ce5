use super::*;
use std::io::Write as _;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// What `torch.save` of torch 2.15 writes for `{"model": {"a.weight": torch.arange(6.).reshape(2, 3).t(),
/// "half": torch.tensor([1.5], dtype=torch.float16)}, "epoch": 3, "args": argparse.Namespace(lr=0.1)}`.
const SAVED: &[u8] = include_bytes!("../../../../../fixtures/golden/torch_zip/saved.pth");

#[test]
fn tensors_of_torch_are_read_and_nothing_else_is_looked_into() {
    let found = read(SAVED, 1 << 20).unwrap();
    let mut names: Vec<_> = found.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["model.a.weight", "model.half"]);
    let weight = found["model.a.weight"].to_vec2::<f32>().unwrap();
    assert_eq!(
        weight,
        [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]],
        "a view that is transposed"
    );
    let half = found["model.half"].to_dtype(DType::F32).unwrap();
    assert_eq!(half.to_vec1::<f32>().unwrap(), [1.5]);
}

/// An archive with this pickle and one storage of 16 bytes.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, data) in [("x/data.pkl", pickle), ("x/data/0", &[0; 16])] {
        zip.start_file(name, stored).unwrap();
        zip.write_all(data).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// `{"w": a tensor}` of these sizes and strides in a storage of `count` floats.
fn tensor(count: u8, sizes: &[u8], strides: &[u8]) -> Vec<u8> {
    let tuple = |items: &[u8]| {
        let items = items.iter().flat_map(|&item| [b'K', item]);
        [b"(".to_vec(), items.collect(), b"t".to_vec()].concat()
    };
    let storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK";
    [
        &b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n("[..],
        storage,
        &[count],
        b"tQK\0",
        &tuple(sizes),
        &tuple(strides),
        b"\x89}tRs.",
    ]
    .concat()
}

#[test]
fn views_that_leave_their_storage_or_take_too_much_are_refused() {
    let refused = |pickle: Vec<u8>| read(&archive(&pickle), 1 << 10).map(|_| ()).unwrap_err();
    assert!(read(&archive(&tensor(4, &[2, 2], &[2, 1])), 1 << 10).is_ok());
    assert!(refused(tensor(4, &[2, 3], &[2, 1])).contains("beyond its storage"));
    assert!(refused(tensor(4, &[0], &[1])).contains("no side of 0"));
    assert!(refused(tensor(4, &[2], &[])).contains("1 sides and 0 strides"));
    // One float seen two hundred by two hundred times.
    let text = refused(tensor(4, &[200, 200], &[0, 0]));
    assert_eq!(text, "its tensors take more than 1024 bytes");
    assert!(refused(tensor(5, &[2], &[1])).contains("has 16 bytes, expected 20"));
}

#[test]
fn calls_are_never_made_and_hostile_pickles_end() {
    // os.system("x") inside the dictionary is a thing that nobody looks into.
    let call = b"\x80\x02}X\x01\0\0\0wcposix\nsystem\nX\x01\0\0\0x\x85Rs.";
    assert!(read(&archive(call), 1 << 10).unwrap().is_empty());
    // Tuples a million deep, a dictionary in itself, lists that double.
    let deep = [b"\x80\x02N".to_vec(), vec![0x85; 1_000_000], b".".to_vec()].concat();
    assert!(read(&archive(&deep), 1 << 10).unwrap().is_empty());
    let itself = b"\x80\x02}q\0X\x01\0\0\0wh\0s.";
    assert!(read(&archive(itself), 1 << 10).unwrap().is_empty());
    for broken in [
        &b""[..],
        b".",
        b"t.",
        b"h\0.",
        b"X\xff\xff\xff\xffw",
        b"R.",
        b"(NQ.",
        b"NQ.",
        b"\xff",
    ] {
        let text = read(&archive(broken), 1 << 10).map(|_| ()).unwrap_err();
        assert!(text.contains("pickle") && !text.contains('\n'), "{text}");
    }
}

/// Every bit flipped, and lengths: a refusal of one line, or tensors within the limit.
#[test]
fn a_damaged_file_is_refused_or_read_but_never_more() {
    let (mut refused, mut read_whole) = (0, 0);
    let mut check = |bytes: &[u8]| match read(bytes, 1 << 12) {
        Ok(tensors) => {
            let size = |t: &Tensor| t.elem_count() * t.dtype().size_in_bytes();
            assert!(tensors.values().map(size).sum::<usize>() <= 1 << 12);
            read_whole += 1;
        }
        Err(text) => {
            assert!(!text.contains('\n') && text.len() < 700, "{text}");
            refused += 1;
        }
    };
    for bit in (0..SAVED.len() * 8).step_by(3) {
        let mut bytes = SAVED.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        check(&bytes);
    }
    for length in (0..SAVED.len()).step_by(5) {
        check(&SAVED[..length]);
    }
    assert!(
        refused > 500 && read_whole > 300,
        "{refused} refused, {read_whole} read"
    );
}
