//! Weights from a Hub on loopback: the cache they land in, and everything that goes wrong on the way.

mod answers;
mod cache;
mod limits;
mod transfer;

use cass_models::hub::{Hub, HubFile, HubId, HubSettings};
use cass_testing::hub::{COMMIT, Server, sha256};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

const REPO: &str = "timm/resnet18.a1_in1k";

/// A server with one repository, and an empty cache.
struct Scene {
    server: Server,
    folder: tempfile::TempDir,
    bytes: Vec<u8>,
}

impl Scene {
    fn new() -> std::io::Result<Self> {
        let bytes: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        let server = Server::start()?;
        server.publish(REPO, COMMIT, &bytes);
        Ok(Self {
            server,
            folder: tempfile::tempdir()?,
            bytes,
        })
    }

    fn settings(&self) -> HubSettings {
        HubSettings {
            cache: self.folder.path().join("hub"),
            endpoint: self.server.endpoint.clone(),
            token: None,
            offline: false,
            backoff: Duration::from_millis(1),
            timeout: HubSettings::TIMEOUT,
            certificates: None,
        }
    }

    fn hub(&self) -> Hub {
        Hub::new(self.settings())
    }

    fn offline(&self) -> Hub {
        Hub::new(HubSettings {
            offline: true,
            ..self.settings()
        })
    }

    fn fetch(&self) -> cass_models::Result<HubFile> {
        self.hub().fetch(&id(REPO), &mut |_| {})
    }

    /// The one line that fetching fails with.
    fn refusal(&self) -> Result<String, Box<dyn std::error::Error>> {
        let error = self.fetch().err().ok_or("fetched")?;
        one_line(&error)
    }

    fn repo(&self) -> PathBuf {
        self.settings().cache.join("models--timm--resnet18.a1_in1k")
    }

    /// Names in `blobs`, in order.
    fn blobs(&self) -> std::io::Result<Vec<String>> {
        let entries = fs::read_dir(self.repo().join("blobs"))?;
        let mut names: Vec<_> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        Ok(names)
    }

    fn is_whole(&self, file: &HubFile) -> Outcome {
        assert!(fs::read(&file.path)? == self.bytes, "other bytes");
        assert_eq!(file.sha256.as_deref(), Some(&*sha256(&self.bytes)));
        assert_eq!(self.blobs()?, [sha256(&self.bytes)]);
        Ok(())
    }
}

fn id(text: &str) -> HubId {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn one_line(error: &cass_models::Error) -> Result<String, Box<dyn std::error::Error>> {
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    assert!(text.starts_with("model.safetensors of "), "{text}");
    Ok(text)
}
