//! TensorBoard's event files, as far as scalars need them.
//!
//! A file is a sequence of records: length (u64), its checksum, an `Event` message, its checksum;
//! all numbers little-endian, the checksums masked CRC-32C (tensorflow/core/lib/io/record_writer.h).
//! The messages (tensorflow/core/util/event.proto, framework/summary.proto) are written by hand: two
//! of them, five fields.

use crate::error::Result;
use crate::run_dir::{Appended, RunDir};
use std::time::{SystemTime, UNIX_EPOCH};

/// TensorBoard finds it by the `tfevents` in its name.
const FILE: &str = "events.out.tfevents.cass";

/// The scalars of one run.
#[derive(Debug)]
pub(crate) struct TensorBoard(Appended);

impl TensorBoard {
    /// Goes on after the first `bytes` bytes of the run's file, or starts it anew for 0.
    pub(crate) fn open(run: &RunDir, bytes: u64) -> Result<Self> {
        let mut file = Appended::open(run, FILE, bytes)?;
        if bytes == 0 {
            let mut version = Message::event(0);
            version.bytes(3, b"brain.Event:2"); // file_version
            file.append(&record(&version.0))?;
        }
        Ok(Self(file))
    }

    /// Adds the scalars of one step; a value that is no number is one here too.
    pub(crate) fn scalars(&mut self, step: u64, scalars: &[(String, f64)]) -> Result<()> {
        let mut summary = Message::default();
        for (tag, value) in scalars {
            let mut scalar = Message::default();
            scalar.bytes(1, tag.as_bytes()); // tag
            scalar.fixed32(2, (*value as f32).to_bits()); // simple_value
            summary.bytes(1, &scalar.0); // value
        }
        let mut event = Message::event(step);
        event.bytes(5, &summary.0); // summary
        self.0.append(&record(&event.0))
    }

    /// Waits until all of it is on the disk; how many bytes that is.
    pub(crate) fn sync(&self) -> Result<u64> {
        self.0.sync()
    }
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
    /// An `Event` of this moment.
    fn event(step: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut event = Self::default();
        event.key(1, 1); // wall_time, a double
        let seconds = now.map_or(0.0, |now| now.as_secs_f64());
        event.0.extend(seconds.to_le_bytes());
        event.key(2, 0); // step
        event.varint(step);
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

    /// Of the Castagnoli polynomial's check value 0xe3069283, rotated by 15 and shifted.
    #[test]
    fn checksums_are_masked_castagnoli() {
        let check = 0xe306_9283u32;
        let masked = ((check >> 15) | (check << 17)).wrapping_add(0xa282_ead8);
        assert_eq!(masked_crc(b"123456789"), masked.to_le_bytes());
    }

    #[test]
    fn a_record_is_read_back_by_the_format() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::open(folder.path(), "").unwrap();
        let mut board = TensorBoard::open(&run, 0).unwrap();
        let head = board.sync().unwrap();
        board.scalars(300, &[("a".into(), 1.5)]).unwrap();
        let bytes = std::fs::read(run.file(FILE)).unwrap();
        let (mut at, mut messages) = (0, Vec::new());
        while at < bytes.len() {
            let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
            assert_eq!(bytes[at + 8..at + 12], masked_crc(&bytes[at..at + 8]));
            let message = &bytes[at + 12..at + 12 + length];
            at += 12 + length + 4;
            assert_eq!(bytes[at - 4..at], masked_crc(message));
            messages.push(message.to_vec());
        }
        assert_eq!(messages.len(), 2);
        // Step 300 is the varint ac 02; the summary holds one value: tag "a", 1.5 as f32.
        let summary = [0x2a, 10, 0x0a, 8, 0x0a, 1, b'a', 0x15, 0, 0, 0xc0, 0x3f];
        assert_eq!(messages[1][9..12], [0x10, 0xac, 0x02]);
        assert_eq!(messages[1][12..], summary);

        // What was written behind a checkpoint goes.
        drop(TensorBoard::open(&run, head).unwrap());
        assert_eq!(
            std::fs::read(run.file(FILE)).unwrap(),
            bytes[..head as usize]
        );
    }
}
