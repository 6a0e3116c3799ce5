//! The faults, and a case of one.

mod damage;
mod disk;
mod images;
mod interrupt;
mod links;
mod recipes;

use crate::ground::{ALL, Ground, permit};
use crate::process::{Ended, Running};
use crate::subject::{Subject, walk};
use anyhow::{Result, ensure};
use cass_rng::Rng;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, thread};

/// What came of a case.
pub(crate) enum Verdict {
    Survived,
    Lost(String),
    /// This computer cannot have it.
    Skipped(String),
}

/// A kind of fault.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&mut Case) -> Result<Verdict>,
}

/// All of them, in the order in which they take turns.
pub(crate) const KINDS: [Kind; 14] = [
    kind("kill", interrupt::kill),
    kind("flip finished", damage::flip_finished),
    kind("signal", interrupt::signal),
    kind("flip unfinished", damage::flip_unfinished),
    kind("full disk", disk::full),
    kind("links", links::links),
    kind("read-only folder", disk::read_only),
    kind("cut finished", damage::cut_finished),
    kind("two processes", interrupt::two),
    kind("cut unfinished", damage::cut_unfinished),
    kind("log and events", damage::log),
    kind("clock", disk::clock),
    kind("recipe", recipes::recipe),
    kind("images", images::images),
];

const fn kind(name: &'static str, run: fn(&mut Case) -> Result<Verdict>) -> Kind {
    Kind { name, run }
}

/// One case: a folder of its own, with files of the user's in it.
pub(crate) struct Case<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) rng: Rng,
    folder: Option<tempfile::TempDir>,
    path: PathBuf,
    /// SHA-256 of the user's files.
    own: BTreeMap<String, String>,
    told: Vec<String>,
}

impl<'a> Case<'a> {
    pub(crate) fn new(ground: &'a Ground, number: u64, rng: Rng) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("case-{number}-"))
            .tempdir_in(ground.folder.path())?;
        let path = folder.path().to_path_buf();
        permit(&path, ALL)?;
        fs::create_dir_all(path.join("own/deep"))?;
        for name in ["own/thesis.txt", "own/deep/step-000000001.safetensors"] {
            fs::write(path.join(name), format!("years of work: {name}"))?;
        }
        let mut case = Self {
            ground,
            rng,
            folder: Some(folder),
            path,
            own: BTreeMap::new(),
            told: Vec::new(),
        };
        case.own = case.users()?;
        Ok(case)
    }

    /// A file of the user's, or the folder of one.
    pub(crate) fn own(&mut self) -> PathBuf {
        let names = ["own/thesis.txt", "own/deep"];
        self.path.join(names[self.rng.below(names.len())])
    }

    fn users(&self) -> Result<BTreeMap<String, String>> {
        let mut found = BTreeMap::new();
        walk(&self.path.join("own"), "", &mut |name, path| {
            found.insert(name.into(), cass_run::sha256_of(path)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// The folder that the run is to be in.
    pub(crate) fn out(&self) -> PathBuf {
        self.path.join("out")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes what was done, for the report of a loss.
    pub(crate) fn tell(&mut self, text: String) {
        self.told.push(text);
    }

    pub(crate) fn told(&self) -> String {
        self.told.join("; ")
    }

    /// Leaves the folder behind.
    pub(crate) fn keep(&mut self) -> PathBuf {
        if let Some(folder) = self.folder.take() {
            let _ = folder.keep();
        }
        self.path.clone()
    }

    /// Draws a command: pretraining most often, a reproduction least.
    pub(crate) fn subject(&mut self) -> &'a Subject {
        let subject = &self.ground.subjects[[0, 0, 0, 1, 1, 2][self.rng.below(6)]];
        self.tell(subject.name.into());
        subject
    }

    /// Starts a command in the case's folder.
    pub(crate) fn start(&self, args: &[String]) -> Result<Running> {
        self.ground.start(args, &self.path)
    }

    /// Gives a command and waits for its end.
    pub(crate) fn run(&self, args: &[String]) -> Result<Ended> {
        self.start(args)?.end()
    }

    /// The same command once more, to the end.
    pub(crate) fn again(&self, subject: &Subject) -> Result<Ended> {
        self.run(&subject.command(&self.out()))
    }

    /// A moment of a run, drawn from before its beginning to after its end.
    pub(crate) fn moment(&mut self, subject: &Subject) -> Duration {
        subject.time.mul_f64(1.2 * self.rng.uniform())
    }

    /// Lets a run go on for a while and kills it.
    pub(crate) fn kill_midway(&mut self, subject: &Subject) -> Result<()> {
        let wait = self.moment(subject);
        let mut running = self.start(&subject.command(&self.out()))?;
        thread::sleep(wait);
        running.kill();
        running.end()?;
        self.tell(format!("killed after {:.2} s", wait.as_secs_f64()));
        Ok(())
    }

    /// The end of every case: the user's files are as they were.
    pub(crate) fn survived(&self) -> Result<Verdict> {
        ensure!(
            self.users()? == self.own,
            "a file of the user's was changed"
        );
        Ok(Verdict::Survived)
    }

    /// A file of a folder, drawn among all.
    pub(crate) fn any_file(&mut self, folder: &Path) -> Result<Option<(String, PathBuf)>> {
        let mut files = Vec::new();
        walk(folder, "", &mut |name, path| {
            files.push((name.to_owned(), path.to_path_buf()));
            Ok(())
        })?;
        let place = self.rng.below(files.len().max(1));
        Ok(files.into_iter().nth(place))
    }
}
