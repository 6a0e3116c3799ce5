//! The folder of one repository in the cache that Python's huggingface_hub shares:
//!
//! ```text
//! models--timm--resnet50.a1_in1k/
//!   blobs/SHA256                        the content; SHA256.incomplete while it arrives
//!   snapshots/COMMIT/model.safetensors  a link to it
//!   refs/main                           COMMIT
//! .locks/models--timm--resnet50.a1_in1k/SHA256.lock
//! ```

use super::HubEvent;
use super::id::{HubId, is_commit, is_sha256};
use crate::fault::HubFault;
use cass_run::{put_whole, write_whole};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub(super) struct Folder {
    layout: CacheRepo,
    id: HubId,
    path: PathBuf,
    locks: PathBuf,
}

/// Held while a file is brought into the cache.
pub(super) struct Lock(#[expect(dead_code, reason = "its drop unlocks")] Option<File>);

impl Folder {
    pub(super) fn new(cache: &Path, id: &HubId) -> Self {
        let (name, revision) = (id.repo().to_string(), id.revision().to_string());
        let repo = Repo::with_revision(name, RepoType::Model, revision);
        let folder = repo.folder_name();
        Self {
            path: cache.join(&folder),
            locks: cache.join(".locks").join(&folder),
            layout: Cache::new(cache.to_path_buf()).repo(repo),
            id: id.clone(),
        }
    }

    /// The commit that the revision meant when the Hub was asked last.
    fn commit(&self) -> Option<String> {
        if let Some(commit) = self.id.commit() {
            return Some(commit.into());
        }
        let mut text = String::new();
        let file = File::open(self.path.join("refs").join(self.id.revision())).ok()?;
        file.take(64).read_to_string(&mut text).ok()?;
        Some(text.trim().to_string()).filter(|text| is_commit(text))
    }

    /// A file in the state that the revision means, its commit and, where the cache keeps it as a
    /// link, the SHA-256 that it came with.
    pub(super) fn find(&self, file: &str) -> Option<(PathBuf, String, Option<String>)> {
        let commit = self.commit()?;
        let path = self.layout.pointer_path(&commit).join(file);
        let content = path.canonicalize().ok().filter(|path| path.is_file())?;
        let sha256 = content.file_name()?.to_str().map(str::to_string);
        Some((path, commit, sha256.filter(|name| is_sha256(name))))
    }

    pub(super) fn blob(&self, sha256: &str) -> PathBuf {
        self.path.join("blobs").join(sha256)
    }

    pub(super) fn incomplete(&self, sha256: &str) -> PathBuf {
        self.blob(&format!("{sha256}.incomplete"))
    }

    /// Waits until no other process, of Python's either, brings in this content.
    pub(super) fn lock(
        &self,
        sha256: &str,
        observe: &mut dyn FnMut(&HubEvent),
    ) -> Result<Lock, HubFault> {
        create_dir(&self.locks)?;
        create_dir(&self.path.join("blobs"))?;
        let path = self.locks.join(format!("{sha256}.lock"));
        let open = OpenOptions::new().create(true).append(true).open(&path);
        let file = open.map_err(HubFault::io("opened", &path))?;
        let locked = match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                observe(&HubEvent::OtherProcess);
                file.lock()
            }
            Err(TryLockError::Error(error)) => Err(error),
            Ok(()) => Ok(()),
        };
        match locked {
            Ok(()) => Ok(Lock(Some(file))),
            // Some network file systems have no locks: the checksum tells if two writers met.
            Err(e) if e.kind() == io::ErrorKind::Unsupported => Ok(Lock(None)),
            Err(e) => Err(HubFault::io("locked", &path)(e)),
        }
    }

    /// Makes content that is whole the revision's `file`.
    pub(super) fn publish(&self, file: &str, sha256: &str, commit: &str) -> Result<(), HubFault> {
        let snapshot = self.layout.pointer_path(commit);
        create_dir(&snapshot)?;
        link(&self.blob(sha256), sha256, &snapshot.join(file))?;
        if self.id.commit().is_some() {
            return Ok(());
        }
        let reference = self.path.join("refs").join(self.id.revision());
        if let Some(folder) = reference.parent() {
            create_dir(folder)?;
        }
        let written = write_whole(&reference, commit.as_bytes());
        written.map_err(HubFault::io("written", &reference))
    }
}

#[cfg(unix)]
fn link(_: &Path, sha256: &str, path: &Path) -> Result<(), HubFault> {
    let target = Path::new("../../blobs").join(sha256);
    if fs::read_link(path).is_ok_and(|found| found == target) {
        return Ok(());
    }
    let linked = put_whole(path, |beside| std::os::unix::fs::symlink(&target, beside));
    linked.map_err(HubFault::io("written", path))
}

/// Links need a privilege elsewhere; Python then copies, too.
#[cfg(not(unix))]
fn link(blob: &Path, _: &str, path: &Path) -> Result<(), HubFault> {
    let copied = put_whole(path, |beside| fs::copy(blob, beside).map(drop));
    copied.map_err(HubFault::io("written", path))
}

fn create_dir(path: &Path) -> Result<(), HubFault> {
    fs::create_dir_all(path).map_err(HubFault::io("created", path))
}
