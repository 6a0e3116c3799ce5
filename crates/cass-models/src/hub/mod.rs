//! Weights from the Hugging Face Hub, through the cache that Python's huggingface_hub shares.
//!
//! The `hf-hub` crate gives the cache its layout. Its downloader checks no checksum, does not wait
//! when asked to and knows no `HF_HUB_OFFLINE`; the transfer here does, and keeps the
//! files, the locks and the environment variables of Python's.

mod cache;
mod client;
mod download;
mod id;
mod settings;

pub use crate::fault::HubFault;
pub use id::HubId;
pub use settings::HubSettings;

use crate::error::{Error, Result};
use crate::read::WEIGHTS_FILE;
use crate::registry::MODELS;
use cache::Folder;
use client::{Client, Metadata, Trouble};
use download::{Attempts, LARGEST, download, sha256_of};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A file of the Hub on this computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Its repository at the commit that it is from.
    pub id: HubId,
    /// SHA-256 that it had when it was fetched, in hexadecimal; `None` if the cache does not say.
    pub sha256: Option<String>,
}

impl HubFile {
    /// Holds what was read from [`path`](HubFile::path) against what came from the Hub.
    ///
    /// # Errors
    /// If the file has changed since.
    pub fn check(&self, sha256: &str) -> Result<()> {
        match &self.sha256 {
            Some(expected) if expected != sha256 => Err(hub_error(
                &self.id,
                HubFault::Damaged {
                    path: self.path.clone(),
                    found: sha256.into(),
                    fetch: to_fetch(&self.id),
                },
            )),
            _ => Ok(()),
        }
    }
}

/// What happens while a file is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubEvent {
    /// A transfer starts, of so many bytes in all if the Hub says.
    Start {
        /// Size of the whole file.
        bytes: Option<u64>,
    },
    /// The bytes of the file that have arrived.
    Bytes(u64),
    /// A request is repeated after a wait.
    Wait {
        /// The reason.
        reason: String,
        /// Time until the next request.
        wait: Duration,
    },
    /// Another process brings the same file; this one waits for it.
    OtherProcess,
}

/// The Hub and its cache.
///
/// ```no_run
/// use cass_models::hub::{Hub, HubId};
/// use cass_models::registry::find;
/// # fn main() -> cass_models::Result<()> {
/// let hub = Hub::from_env()?;
/// let file = hub.get(&HubId::of(find("resnet18")?), &mut |_| {})?;
/// println!("{} is in {}", file.id, file.path.display());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Hub {
    settings: HubSettings,
}

impl Hub {
    /// Uses settings of your own.
    pub fn new(settings: HubSettings) -> Self {
        Self { settings }
    }

    /// Takes the settings from the environment: [`HubSettings::from_env`].
    ///
    /// # Errors
    /// If a variable has a value that cannot be used.
    pub fn from_env() -> Result<Self> {
        let settings = HubSettings::from_env();
        settings.map(Self::new).map_err(|fault| Error::Hub {
            what: "a file of the Hugging Face Hub".into(),
            fault: fault.into(),
        })
    }

    /// The settings in use.
    pub fn settings(&self) -> &HubSettings {
        &self.settings
    }

    /// The weights of a repository, if the cache has them. Asks nobody.
    pub fn cached(&self, id: &HubId) -> Option<HubFile> {
        let (path, commit, sha256) = Folder::new(&self.settings.cache, id).find(WEIGHTS_FILE)?;
        let id = id.at(&commit).ok()?;
        Some(HubFile { path, id, sha256 })
    }

    /// The weights of a repository: from the cache as they are, else from the Hub.
    ///
    /// # Errors
    /// As [`fetch`](Hub::fetch).
    pub fn get(&self, id: &HubId, observe: &mut dyn FnMut(&HubEvent)) -> Result<HubFile> {
        match self.cached(id) {
            Some(file) => Ok(file),
            None => self.fetch(id, observe),
        }
    }

    /// Asks the Hub what the revision means today, checks what the cache has of it and brings what
    /// is missing. A transfer that broke off is resumed; what arrives is compared with its SHA-256
    /// before the cache shows it; two processes that want one file fetch it once.
    ///
    /// Offline, the cache is taken as it is.
    ///
    /// # Errors
    /// If the file cannot be fetched: the fault says why, and what would help.
    pub fn fetch(&self, id: &HubId, observe: &mut dyn FnMut(&HubEvent)) -> Result<HubFile> {
        self.bring(id, observe)
            .map_err(|fault| hub_error(id, fault))
    }

    fn bring(
        &self,
        id: &HubId,
        observe: &mut dyn FnMut(&HubEvent),
    ) -> std::result::Result<HubFile, HubFault> {
        let settings = &self.settings;
        if settings.offline {
            return self.cached(id).ok_or_else(|| HubFault::Offline {
                cache: settings.cache.clone(),
                fetch: to_fetch(id),
            });
        }
        let client = Client::new(settings)?;
        let metadata = self.metadata(&client, id, observe)?;
        let folder = Folder::new(&settings.cache, id);
        let sha256 = &metadata.sha256;
        let lock = folder.lock(sha256, observe)?;
        let blob = folder.blob(sha256);
        if blob.exists() && sha256_of(&blob)? != *sha256 {
            fs::remove_file(&blob).map_err(HubFault::io("removed", &blob))?;
        }
        if !blob.exists() {
            // What is asked for by its commit cannot change between two requests.
            let at = id.at(&metadata.commit)?;
            let paths = [&*folder.incomplete(sha256), &*blob];
            let what = (&at, WEIGHTS_FILE);
            let limits = (largest(id), settings.backoff);
            download(&client, what, &metadata, paths, limits, observe)?;
        }
        folder.publish(WEIGHTS_FILE, sha256, &metadata.commit)?;
        drop(lock);
        let (path, commit, sha256) = folder.find(WEIGHTS_FILE).ok_or_else(|| HubFault::Io {
            action: "found",
            path: blob,
            source: std::io::ErrorKind::NotFound.into(),
        })?;
        let id = id.at(&commit)?;
        Ok(HubFile { path, id, sha256 })
    }

    fn metadata(
        &self,
        client: &Client,
        id: &HubId,
        observe: &mut dyn FnMut(&HubEvent),
    ) -> std::result::Result<Metadata, HubFault> {
        let mut attempts = Attempts::new(self.settings.backoff);
        loop {
            match client.metadata(id, WEIGHTS_FILE) {
                Ok(metadata) => return Ok(metadata),
                Err(Trouble::Final(fault)) => return Err(fault),
                Err(Trouble::Unreachable(reason)) => {
                    return Err(HubFault::Unreachable {
                        endpoint: self.settings.shown_endpoint(),
                        reason,
                        cache: self.settings.cache.clone(),
                        fetch: to_fetch(id),
                    });
                }
                Err(Trouble::Passing(reason, after)) => {
                    attempts.pause(client, reason, after, observe)?;
                }
            }
        }
    }
}

/// The most bytes that the weights of a repository can have: those of a network of the registry its
/// parameters, each of four bytes, and as many again for what else a file may hold.
fn largest(id: &HubId) -> u64 {
    let network = MODELS.iter().find(|network| network.hub_id == id.repo());
    network.map_or(LARGEST, |network| {
        let classes = network.num_classes.max(1000);
        let cost = network.config.cost(network.input_size, 3, classes);
        (16 << 20) + 8 * cost.parameters as u64
    })
}

/// What `cass models fetch` calls it.
fn to_fetch(id: &HubId) -> String {
    let network = MODELS.iter().find(|network| HubId::of(network) == *id);
    match network {
        Some(network) if network.is_default() => network.name.into(),
        Some(network) => network.full_name().into(),
        None => id.to_string(),
    }
}

fn hub_error(id: &HubId, fault: HubFault) -> Error {
    Error::Hub {
        what: format!("{WEIGHTS_FILE} of {id}"),
        fault: fault.into(),
    }
}
