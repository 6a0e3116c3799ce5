//! Who may write in a run folder.

use crate::error::{Action, Error, Result};
use crate::file::read_bounded;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const LOCK: &str = ".lock";
/// Before the generation in an owner's file name.
const OWNER: &str = ".owner.";
/// A folder has had fewer owners.
const MOST_OWNERS: u64 = 1 << 48;
/// Time between two signs of life.
const BEAT: Duration = Duration::from_secs(10);
/// An owner on another host that gives no sign of life for so long is dead.
const SILENCE: Duration = Duration::from_secs(45);

/// Who works in a run folder, as its owner's file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Name of the computer.
    pub host: String,
    /// Number of the process there.
    pub pid: u32,
    /// Signs of life so far.
    beat: u64,
    /// Milliseconds without one after which it is dead, by its own word.
    #[serde(default = "silence")]
    silence: u64,
    /// Whether it has left the folder.
    released: bool,
}

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

    /// Signs of life until the sender is dropped; none where no thread is to be had, which only
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
}

impl RunLock {
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

impl Owner {
    /// Writes in place, and always as much: who reads at the same moment reads a whole.
    fn write(&self, file: &mut File) -> io::Result<()> {
        const LENGTH: usize = 512;
        let mut text = serde_json::to_string(self)?;
        let padding = LENGTH.saturating_sub(text.len() + 1);
        text.extend(std::iter::repeat_n(' ', padding));
        file.seek(SeekFrom::Start(0))?;
        file.write_all(format!("{text}\n").as_bytes())
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host)
    }
}

/// The lock's file. What a link of that name leads to is neither opened nor changed: the file is
/// never written.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    }
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    Ok(file)
}

/// Whether a process of this computer works in a run folder now.
pub fn is_in_use(folder: &Path) -> bool {
    let path = folder.join(LOCK);
    let is_file = path.symlink_metadata().is_ok_and(|kind| kind.is_file());
    let file = is_file.then(|| open(&path).ok()).flatten();
    file.is_some_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// The sole use of a folder by one kind of program, on this computer, until dropped.
#[derive(Debug)]
pub struct FolderLock {
    /// Held for the system's lock, which ends with the process.
    _held: File,
}

impl FolderLock {
    /// Claims a folder that exists by its file `name`, which stays there, empty. On a file system without
    /// locks it is granted.
    ///
    /// # Errors
    /// [`Error::Locked`] naming `program` if another process has it, or if the file cannot be made.
    pub fn claim(folder: &Path, name: &str, program: &str) -> Result<Self> {
        let path = folder.join(name);
        let held = open(&path).map_err(Error::io(Action::Create, &path))?;
        match held.try_lock() {
            Err(TryLockError::WouldBlock) => Err(Error::Locked {
                path: folder.into(),
                owner: format!("another {program}"),
            }),
            _ => Ok(Self { _held: held }),
        }
    }
}

/// What owners say of themselves.
fn silence() -> u64 {
    SILENCE.as_millis() as u64
}

/// Whether an owner's file stays as it is, or goes, for as long as it says, or the usual time.
fn silent(path: &Path, owner: &Owner) -> bool {
    let silence = Duration::from_millis(owner.silence).min(SILENCE);
    let since = Instant::now();
    while since.elapsed() < silence {
        match read(path) {
            Some(now) if now.released => return true,
            Some(now) if now != *owner => return false,
            _ => thread::sleep(silence.min(Duration::from_millis(500))),
        }
    }
    true
}

/// Whether a process has owned the folder.
pub(crate) fn has_owner(folder: &Path) -> Result<bool> {
    let is_file = |path: &Path| path.symlink_metadata().is_ok_and(|kind| kind.is_file());
    Ok(owners(folder)?.iter().any(|(_, path)| is_file(path)))
}

/// Whether a file is the lock's, as a process left it that was killed before it owned the folder.
pub(crate) fn is_untouched(path: &Path) -> bool {
    let empty = |kind: fs::Metadata| kind.is_file() && kind.len() == 0;
    path.ends_with(LOCK) && path.symlink_metadata().is_ok_and(empty)
}

fn owner_path(folder: &Path, generation: u64) -> PathBuf {
    folder.join(format!("{OWNER}{generation}"))
}

/// The newest generation, and its owner where the file can be read.
fn last(folder: &Path) -> Result<Option<(u64, Option<Owner>)>> {
    let newest = owners(folder)?.into_iter().max();
    Ok(newest.map(|(generation, path)| (generation, read(&path))))
}

fn read(path: &Path) -> Option<Owner> {
    const LARGEST: u64 = 1 << 12;
    serde_json::from_slice(&read_bounded(path, LARGEST).ok()?).ok()
}

/// The owners' files of a folder.
fn owners(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(Action::Read, folder))? {
        let path = entry.map_err(Error::io(Action::Read, folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let generation: Option<u64> = name.and_then(|name| name.strip_prefix(OWNER)?.parse().ok());
        let generation = generation.filter(|generation| *generation < MOST_OWNERS);
        found.extend(generation.map(|generation| (generation, path)));
    }
    Ok(found)
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
