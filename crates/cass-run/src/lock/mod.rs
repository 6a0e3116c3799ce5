//! Who may write in a run folder.

mod file;
mod owner;

pub use file::{FolderLock, is_in_use};
pub(crate) use file::{LOCK, is_untouched};
pub use owner::Owner;
pub(crate) use owner::{has_owner, owner_path};

use crate::error::{Action, Error, Result};
use file::open;
use owner::{OWNER, last, owners, silence, silent};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Time between two signs of life.
const BEAT: Duration = Duration::from_secs(10);

/// The sole right to write in a run folder, until dropped.
///
/// On one computer the system's lock on `.lock` decides, which ends with its process. A folder that
/// several computers share may be on a file system whose locks do not reach across them: there the
/// owner's file decides, `.owner.N` for the N-th owner (its generation). An owner rewrites it every
/// ten seconds; a claimant from elsewhere waits for that, and only where 45 seconds (or fewer, if the
/// file says so) show no sign of life takes over, as generation N + 1. The one it took over from may
/// yet be alive, paused or cut off: it finds its file gone when it next [checks](RunLock::check),
/// before anything it writes, and so never writes again. No two clocks are compared.
#[derive(Debug)]
pub struct RunLock {
    folder: PathBuf,
    generation: u64,
    owner: Owner,
    /// The owner's file; never opened by name again, so that a file of that name is never remade.
    file: File,
    beat: Option<(Sender<()>, JoinHandle<()>)>,
    /// Held for the system's lock.
    _held: Option<File>,
}

impl RunLock {
    /// Claims a folder that exists.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process works in it, or if its files cannot be written.
    pub fn claim(folder: &Path) -> Result<Self> {
        let path = folder.join(LOCK);
        let locked = |owner: Option<&Owner>| Error::Locked {
            path: folder.into(),
            owner: owner.map_or("another process".into(), Owner::to_string),
        };
        let held = open(&path).map_err(Error::io(Action::Create, &path))?;
        let last = last(folder)?;
        let owner = last.as_ref().and_then(|(_, owner)| owner.as_ref());
        let held = match held.try_lock() {
            Ok(()) => Some(held),
            Err(TryLockError::WouldBlock) => return Err(locked(owner)),
            // A file system without locks, in whichever words: the owner's file has to do.
            Err(TryLockError::Error(_)) => None,
        };
        let host = gethostname::gethostname().to_string_lossy().into_owned();
        let generation = last.as_ref().map_or(0, |(generation, _)| *generation);
        if let Some(owner) = owner
            && !owner.released
            && (held.is_none() || owner.host != host)
            && !silent(&owner_path(folder, generation), owner)
        {
            return Err(locked(Some(owner)));
        }
        let owner = Owner {
            host,
            pid: std::process::id(),
            beat: 0,
            silence: silence(),
            released: false,
        };
        let generation = generation + 1;
        let path = owner_path(folder, generation);
        let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => file,
            // Somebody else came to the same conclusion a moment earlier.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Err(locked(None)),
            Err(e) => return Err(Error::io(Action::Create, &path)(e)),
        };
        let written = owner.write(&mut file).and_then(|()| file.sync_all());
        written.map_err(Error::io(Action::Write, &path))?;
        for (older, path) in owners(folder)? {
            if older < generation {
                // Gone already, or it fences nobody: the newest generation counts.
                let _ = fs::remove_file(path);
            }
        }
        let mut lock = Self {
            folder: folder.into(),
            generation,
            owner,
            file,
            beat: None,
            _held: held,
        };
        lock.beat = lock.start_beating();
        Ok(lock)
    }

    /// Whether this process is still the owner. To be asked before anything is written.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another process has taken the folder over, [`Error::Gone`] if the folder or
    /// the owner's file was removed otherwise.
    pub fn check(&self) -> Result<()> {
        // Opened, not looked up: on NFS that asks the server.
        match File::open(owner_path(&self.folder, self.generation)) {
            Ok(_) => Ok(()),
            Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                Err(Error::io(Action::Read, &self.folder)(e))
            }
            Err(_) => Err(match last(&self.folder) {
                // An owner makes its file before it removes those of the owners before it.
                Ok(Some((generation, owner))) if generation > self.generation => Error::Fenced {
                    path: self.folder.clone(),
                    owner: owner.map_or("another process".into(), |owner| owner.to_string()),
                },
                _ => Error::Gone {
                    path: self.folder.clone(),
                    name: format!("{OWNER}{}", self.generation),
                },
            }),
        }
    }

    /// How many processes have owned the folder, this one included.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// This process, as others see it.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Signs of life until the sender is dropped; none where no thread can be started, which only
    /// matters to claimants elsewhere.
    fn start_beating(&self) -> Option<(Sender<()>, JoinHandle<()>)> {
        let (mut file, mut owner) = (self.file.try_clone().ok()?, self.owner.clone());
        let (stop, stopped) = channel::<()>();
        let beat = move || {
            while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                owner.beat += 1;
                // Of a file that is gone, which `check` finds.
                let _ = owner.write(&mut file);
            }
        };
        let beating = thread::Builder::new().name("cass-beat".into()).spawn(beat);
        beating.ok().map(|thread| (stop, thread))
    }

    /// Leaves the folder as if it had never been claimed.
    pub(crate) fn forget(&mut self) {
        self.stop_beating();
        let _ = fs::remove_file(owner_path(&self.folder, self.generation));
        let _ = fs::remove_file(self.folder.join(LOCK));
    }

    fn stop_beating(&mut self) {
        if let Some((stop, thread)) = self.beat.take() {
            drop(stop);
            let _ = thread.join(); // it cannot panic
        }
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        self.stop_beating();
        self.owner.released = true;
        // Without it the next one waits, or relies on the system's lock.
        let _ = self.owner.write(&mut self.file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An owner on another host, which this one's system lock does not see.
    fn elsewhere(folder: &Path, generation: u64, silence: u64) -> (File, Owner) {
        let mut file = File::create(owner_path(folder, generation)).unwrap();
        let owner = Owner {
            host: "elsewhere".into(),
            pid: 1,
            beat: 0,
            silence,
            released: false,
        };
        owner.write(&mut file).unwrap();
        (file, owner)
    }

    #[test]
    fn one_owner_at_a_time_and_each_a_generation_on() {
        let folder = tempfile::tempdir().unwrap();
        let first = RunLock::claim(folder.path()).unwrap();
        first.check().unwrap();
        let error = RunLock::claim(folder.path()).unwrap_err().to_string();
        let pid = std::process::id().to_string();
        assert!(
            error.contains(&pid) && error.contains("is running in it"),
            "{error}"
        );
        assert_eq!(first.generation(), 1);
        drop(first);
        let second = RunLock::claim(folder.path()).unwrap();
        assert_eq!(second.generation(), 2);
        second.check().unwrap();
        assert_eq!(owners(folder.path()).unwrap().len(), 1);
    }

    #[test]
    fn a_folder_is_in_use_while_it_is_owned() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_in_use(folder.path()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let lock = RunLock::claim(folder.path()).unwrap();
        assert!(is_in_use(folder.path()));
        drop(lock);
        assert!(!is_in_use(folder.path()));
        let job = || FolderLock::claim(folder.path(), ".job", "job");
        let held = job().unwrap();
        let error = job().unwrap_err().to_string();
        assert!(
            error.ends_with("cannot be used: another job is running in it"),
            "{error}"
        );
        drop(held);
        job().unwrap();
    }

    #[test]
    fn a_silent_owner_elsewhere_is_taken_over_and_fenced() {
        let folder = tempfile::tempdir().unwrap();
        elsewhere(folder.path(), 7, 20);
        let lock = RunLock::claim(folder.path()).unwrap();
        assert_eq!(lock.generation(), 8);
        assert!(!owner_path(folder.path(), 7).exists());

        // What the other one finds when it wakes up.
        let twin = RunLock {
            folder: folder.path().into(),
            generation: 7,
            owner: lock.owner().clone(),
            file: File::open(owner_path(folder.path(), 8)).unwrap(),
            beat: None,
            _held: None,
        };
        let error = twin.check().unwrap_err();
        assert!(matches!(error, Error::Fenced { .. }), "{error}");
        lock.check().unwrap();
    }

    #[test]
    fn an_owner_elsewhere_that_gives_a_sign_of_life_keeps_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, mut owner) = elsewhere(folder.path(), 1, u64::MAX);
        let claim = thread::scope(|scope| {
            let claim = scope.spawn(|| RunLock::claim(folder.path()));
            thread::sleep(Duration::from_millis(100));
            owner.beat += 1;
            owner.write(&mut file).unwrap();
            claim.join().unwrap()
        });
        let error = claim.unwrap_err().to_string();
        assert!(error.contains("process 1 on elsewhere"), "{error}");
    }

    #[test]
    fn an_owner_elsewhere_that_left_or_wrote_nothing_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, mut owner) = elsewhere(folder.path(), 1, u64::MAX);
        owner.released = true;
        owner.write(&mut file).unwrap();
        assert_eq!(RunLock::claim(folder.path()).unwrap().generation(), 2);
        fs::write(owner_path(folder.path(), 3), "").unwrap();
        assert_eq!(RunLock::claim(folder.path()).unwrap().generation(), 4);
    }
}
