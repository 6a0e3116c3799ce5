//! TensorBoard's event files, as far as scalars need them.
//!
//! A file is a sequence of records: length (u64), its checksum, an `Event` message, its checksum;
//! all numbers little-endian, the checksums masked CRC-32C (tensorflow/core/lib/io/record_writer.h).
//! The messages (tensorflow/core/util/event.proto, framework/summary.proto) are written by hand: two
//! of them, five fields.

use crate::error::Result;
use cass_run::names::TENSORBOARD;
use cass_run::{Grown, RunDir};
use std::time::{SystemTime, UNIX_EPOCH};

/// The scalars of one run.
#[derive(Debug)]
pub(crate) struct TensorBoard(Grown);

impl TensorBoard {
    /// Continues after the first `bytes` bytes of the run's file, or starts it anew for 0.
    pub(crate) fn open(run: &RunDir, bytes: u64) -> Result<Self> {
        let mut file = Grown::open(run, TENSORBOARD, bytes, whole)?;
        if file.bytes() == 0 {
            file.append(&version(now()))?;
        }
        Ok(Self(file))
    }

    /// Adds the scalars of one step; a value that is no number is one here too.
    pub(crate) fn scalars(&mut self, step: u64, scalars: &[(String, f64)]) -> Result<()> {
        Ok(self.0.append(&summary(now(), step, scalars))?)
    }

    /// Whether something of what an earlier attempt had written is gone.
    pub(crate) fn is_damaged(&self) -> bool {
        self.0.is_damaged()
    }

    /// Waits until all of it is on the disk; how many bytes that is.
    pub(crate) fn sync(&self) -> Result<u64> {
        Ok(self.0.sync()?)
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0.0, |now| now.as_secs_f64())
}

/// How many of the bytes make whole records.
fn whole(bytes: &[u8]) -> usize {
    let mut end = 0;
    let record = |start: usize| {
        let (length, rest) = bytes.get(start..)?.split_first_chunk()?;
        let (_, rest) = rest.split_first_chunk::<4>()?;
        let message = rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        let crc = rest.get(message.len()..message.len() + 4)?;
        (crc == masked_crc(message)).then_some(start + 8 + 4 + message.len() + 4)
    };
    while let Some(next) = record(end) {
        end = next;
    }
    end
}

/// The record that a file begins with.
fn version(wall_time: f64) -> Vec<u8> {
    let mut event = Message::event(wall_time, 0);
    event.bytes(3, b"brain.Event:2"); // file_version
    record(&event.0)
}

fn summary(wall_time: f64, step: u64, scalars: &[(String, f64)]) -> Vec<u8> {
    let mut summary = Message::default();
    for (tag, value) in scalars {
        let mut scalar = Message::default();
        scalar.bytes(1, tag.as_bytes()); // tag
        scalar.fixed32(2, (*value as f32).to_bits()); // simple_value
        summary.bytes(1, &scalar.0); // value
    }
    let mut event = Message::event(wall_time, step);
    event.bytes(5, &summary.0); // summary
    record(&event.0)
}

fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    [
        &length[..],
        &masked_crc(&length),
        message,
        &masked_crc(message),
    ]
    .concat()
}

/// Rotated and shifted, so that a checksum of data that holds checksums stays one.
fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    let crc = crc32c::crc32c(bytes);
    crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// A protobuf message in the making.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    /// An `Event`; as in any such message, a step of 0 goes without saying.
    fn event(wall_time: f64, step: u64) -> Self {
        let mut event = Self::default();
        event.key(1, 1); // wall_time, a double
        event.0.extend(wall_time.to_le_bytes());
        if step > 0 {
            event.key(2, 0); // step
            event.varint(step);
        }
        event
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn fixed32(&mut self, field: u64, bits: u32) {
        self.key(field, 5);
        self.0.extend(bits.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_tensorboards_own_writer_writes() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../fixtures/golden/tensorboard/golden.json"
        );
        let golden = std::fs::read_to_string(path).unwrap();
        let golden: serde_json::Value = serde_json::from_str(&golden).unwrap();
        let wall_time = golden["wall_time"].as_f64().unwrap();
        let scalars = [("loss", 1.5), ("collapse/cnn/features/std", 0.1)];
        let scalars = scalars.map(|(tag, value)| (tag.to_string(), value));
        let file = [version(wall_time), summary(wall_time, 300, &scalars)].concat();
        let hex: String = file.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(golden["file"], hex);
    }

    #[test]
    fn what_was_written_behind_a_checkpoint_goes() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::open(folder.path(), "").unwrap();
        let mut board = TensorBoard::open(&run, 0).unwrap();
        board.scalars(1, &[("a".into(), 1.5)]).unwrap();
        let kept = board.sync().unwrap();
        let bytes = std::fs::read(run.file(TENSORBOARD)).unwrap();
        board.scalars(2, &[("a".into(), 2.5)]).unwrap();
        let mut board = TensorBoard::open(&run, kept).unwrap();
        assert_eq!(std::fs::read(run.file(TENSORBOARD)).unwrap(), bytes);
        assert!(!board.is_damaged());
        board.scalars(2, &[("a".into(), 3.5)]).unwrap();
        assert!(
            std::fs::read(run.file(TENSORBOARD))
                .unwrap()
                .starts_with(&bytes)
        );
    }

    #[test]
    fn a_file_that_was_cut_is_continued_after_its_last_whole_record() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::open(folder.path(), "").unwrap();
        let mut board = TensorBoard::open(&run, 0).unwrap();
        let begun = board.sync().unwrap() as usize;
        board.scalars(1, &[("a".into(), 1.5)]).unwrap();
        let kept = board.sync().unwrap();
        let bytes = std::fs::read(run.file(TENSORBOARD)).unwrap();
        for left in [bytes.len() - 1, begun + 3, begun, begun - 1, 0] {
            std::fs::write(run.file(TENSORBOARD), &bytes[..left]).unwrap();
            let board = TensorBoard::open(&run, kept).unwrap();
            assert!(board.is_damaged());
            let now = std::fs::read(run.file(TENSORBOARD)).unwrap();
            assert_eq!(now.len(), begun, "of {left} bytes");
            assert_eq!(whole(&now), begun);
        }
    }
}
