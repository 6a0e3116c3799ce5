//! Bytes from the Hub to a file: resumed where they broke off, and whole or not there.

use super::HubEvent;
use super::client::{Client, Metadata, Trouble};
use super::id::HubId;
use crate::fault::HubFault;
use cass_run::{Hasher, rename_whole};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// No weights are larger: what a server may make us write.
pub(super) const LARGEST: u64 = 16 << 30;
/// Attempts in a row that come to nothing.
const ATTEMPTS: u32 = 6;
/// So many bytes are progress.
const PROGRESS: u64 = 1 << 20;
/// The longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Attempts that are left, and the wait before the next one.
pub(super) struct Attempts {
    backoff: Duration,
    made: u32,
}

impl Attempts {
    pub(super) fn new(backoff: Duration) -> Self {
        Self { backoff, made: 0 }
    }

    /// Waits until the next attempt makes sense, if it does.
    pub(super) fn pause(
        &mut self,
        client: &Client,
        reason: String,
        after: Option<Duration>,
        observe: &mut dyn FnMut(&HubEvent),
    ) -> Result<(), HubFault> {
        self.made += 1;
        if self.made >= ATTEMPTS {
            let attempts = self.made;
            return Err(HubFault::Trouble { reason, attempts });
        }
        let wait = after.unwrap_or(self.backoff * 2u32.pow(self.made - 1));
        if wait > LONGEST_WAIT {
            let seconds = wait.as_secs();
            return Err(HubFault::Later {
                status: reason,
                seconds,
            });
        }
        client.expect_time(wait)?;
        observe(&HubEvent::Wait { reason, wait });
        std::thread::sleep(wait);
        Ok(())
    }
}

/// What has arrived, and its checksum so far.
struct Partial {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    length: u64,
}

impl Partial {
    /// Continues from what an earlier process left.
    fn open(path: &Path) -> Result<Self, HubFault> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false);
        let mut file = file.open(path).map_err(HubFault::io("opened", path))?;
        let mut hasher = Hasher::default();
        let length = hasher.read(&mut file).map_err(HubFault::io("read", path))?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            hasher,
            length,
        })
    }

    fn restart(&mut self) -> Result<(), HubFault> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(HubFault::io("emptied", &self.path))?;
        (self.hasher, self.length) = (Hasher::default(), 0);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), HubFault> {
        let written = self.file.write_all(bytes);
        written.map_err(HubFault::io("written", &self.path))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }
}

/// Brings what `metadata` promises to `incomplete`, then renames it to `whole`.
pub(super) fn download(
    client: &Client,
    (id, file): (&HubId, &str),
    metadata: &Metadata,
    [incomplete, whole]: [&Path; 2],
    (largest, backoff): (u64, Duration),
    observe: &mut dyn FnMut(&HubEvent),
) -> Result<(), HubFault> {
    if let Some(size) = metadata.size.filter(|&size| size > largest) {
        let reason = format!("its {file} has {size} bytes, expected at most {largest}");
        return Err(client.answer(&reason));
    }
    let mut partial = Partial::open(incomplete)?;
    if metadata.size.is_none() {
        // It may be whole already, and no request for the rest would tell.
        partial.restart()?;
    }
    let mut is_fresh = partial.length == 0;
    observe(&HubEvent::Start {
        bytes: metadata.size,
    });
    loop {
        let mut attempts = Attempts::new(backoff);
        while metadata.size != Some(partial.length) {
            let before = partial.length;
            match transfer(client, (id, file), metadata, largest, &mut partial, observe) {
                Ok(()) => break,
                Err(Trouble::Final(fault)) => return Err(fault),
                Err(Trouble::Unreachable(reason)) => {
                    attempts.pause(client, reason, None, observe)?;
                }
                Err(Trouble::Passing(reason, after)) => {
                    if partial.length >= before + PROGRESS {
                        attempts = Attempts::new(backoff);
                    }
                    attempts.pause(client, reason, after, observe)?;
                }
            }
        }
        let found = partial.hasher.clone().finish();
        if found == metadata.sha256 {
            break;
        }
        if is_fresh {
            drop(partial);
            fs::remove_file(incomplete).map_err(HubFault::io("removed", incomplete))?;
            let expected = metadata.sha256.clone();
            return Err(HubFault::Checksum { expected, found });
        }
        // What an earlier process left may be at fault.
        is_fresh = true;
        partial.restart()?;
    }
    let synced = partial.file.sync_all();
    synced.map_err(HubFault::io("written", incomplete))?;
    rename_whole(incomplete, whole).map_err(HubFault::io("written", whole))
}

/// One attempt at the bytes that are missing.
fn transfer(
    client: &Client,
    (id, file): (&HubId, &str),
    metadata: &Metadata,
    largest: u64,
    partial: &mut Partial,
    observe: &mut dyn FnMut(&HubEvent),
) -> Result<(), Trouble> {
    let limit = metadata.size.unwrap_or(largest);
    if partial.length > limit {
        partial.restart()?;
    }
    let mut content = client.content(id, file, partial.length)?;
    if content.start != partial.length {
        partial.restart()?;
        if content.start > 0 {
            let reason = format!("another part of {file} came than was asked for");
            return Err(Trouble::Passing(reason, None));
        }
    }
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = match content.body.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Trouble::Passing(error.to_string(), None)),
        };
        if partial.length + read as u64 > limit {
            partial.restart()?;
            let reason = format!("it sends more than the {limit} bytes of {file}");
            return Err(client.answer(&reason).into());
        }
        partial.append(&buffer[..read])?;
        observe(&HubEvent::Bytes(partial.length));
        client.expect_time(Duration::ZERO)?;
    }
    match metadata.size {
        Some(size) if partial.length < size => {
            let reason = format!(
                "the connection ended after {} of {size} bytes",
                partial.length
            );
            Err(Trouble::Passing(reason, None))
        }
        _ => Ok(()),
    }
}

/// The SHA-256 of a file, in hexadecimal.
pub(super) fn sha256_of(path: &Path) -> Result<String, HubFault> {
    cass_run::sha256_of(path).map_err(HubFault::io("read", path))
}
