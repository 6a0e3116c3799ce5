//! Weights from a Hub on loopback: the cache they land in, and everything that goes wrong on the way.

mod server;

use cass_models::{Hub, HubEvent, HubFile, HubId, HubSettings};
use server::{COMMIT, Fault, Seen, Server, TOKEN, sha256};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Barrier,
    thread,
    time::Duration,
};

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
    assert!(text.starts_with("fetch model.safetensors of "), "{text}");
    Ok(text)
}

#[test]
fn a_file_lands_where_python_looks_and_is_not_fetched_twice() -> Outcome {
    let scene = Scene::new()?;
    assert_eq!(scene.hub().cached(&id(REPO)), None);
    let mut events = Vec::new();
    let file = scene
        .hub()
        .get(&id(REPO), &mut |e| events.push(e.clone()))?;
    scene.is_whole(&file)?;
    let length = scene.bytes.len() as u64;
    let start = HubEvent::Start {
        bytes: Some(length),
    };
    assert_eq!(events.first(), Some(&start));
    assert_eq!(events.last(), Some(&HubEvent::Bytes(length)));

    assert_eq!(file.id, id(&format!("{REPO}@{COMMIT}")));
    let snapshot = format!("snapshots/{COMMIT}/model.safetensors");
    assert_eq!(file.path, scene.repo().join(snapshot));
    #[cfg(unix)]
    assert_eq!(
        fs::read_link(&file.path)?,
        Path::new("../../blobs").join(sha256(&scene.bytes))
    );
    assert_eq!(
        fs::read_to_string(scene.repo().join("refs/main"))?,
        COMMIT,
        "as Python writes it, without an end of line"
    );

    let before = scene.server.seen();
    assert_eq!(before.iter().filter(|s| s.of_content).count(), 1);
    assert_eq!(scene.hub().get(&id(REPO), &mut |_| {})?, file);
    assert_eq!(scene.hub().get(&file.id, &mut |_| {})?, file);
    assert_eq!(scene.offline().fetch(&id(REPO), &mut |_| {})?, file);
    assert_eq!(scene.server.seen(), before, "the cache has it");
    scene.fetch()?;
    let after = scene.server.seen();
    assert_eq!(after.len(), before.len() + 1, "one look at what main means");
    assert_eq!(after.last().map(|s| &*s.method), Some("HEAD"));
    Ok(())
}

#[test]
fn the_token_goes_to_the_hub_alone() -> Outcome {
    let scene = Scene::new()?;
    scene.server.make_private(REPO);
    let text = scene.refusal()?;
    let expected = "refuses it (401, RepoNotFound): expected a public repository of this name, or a \
                    token in HF_TOKEN";
    assert!(text.ends_with(expected), "{text}");
    let with_token = Hub::new(HubSettings {
        token: Some(TOKEN.into()),
        ..scene.settings()
    });
    scene.is_whole(&with_token.fetch(&id(REPO), &mut |_| {})?)?;
    let (content, hub): (Vec<Seen>, _) =
        scene.server.seen().into_iter().partition(|s| s.of_content);
    assert!(!content.is_empty() && content.iter().all(|s| s.authorization.is_none()));
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(
        hub.last().and_then(|s| s.authorization.as_ref()),
        Some(&bearer)
    );
    let wrong = Hub::new(HubSettings {
        token: Some("hf_other".into()),
        cache: scene.folder.path().join("other"),
        ..scene.settings()
    });
    let error = wrong.fetch(&id(REPO), &mut |_| {}).err().ok_or("fetched")?;
    let text = one_line(&error)?;
    assert!(
        text.ends_with("that the token of HF_TOKEN may read"),
        "{text}"
    );
    assert!(!text.contains("hf_other"), "{text}");
    Ok(())
}

#[test]
fn what_does_not_exist_is_one_line() -> Outcome {
    let scene = Scene::new()?;
    let fetch = |hub: &Hub, text: &str| -> Result<String, Box<dyn std::error::Error>> {
        let error = hub.fetch(&id(text), &mut |_| {}).err().ok_or("fetched")?;
        one_line(&error)
    };
    let hub = Hub::new(HubSettings {
        token: Some(TOKEN.into()),
        ..scene.settings()
    });
    let text = fetch(&hub, "timm/absent")?;
    assert!(text.ends_with("has none (404, RepoNotFound)"), "{text}");
    let text = fetch(&hub, &format!("{REPO}@v9"))?;
    assert!(text.contains("resnet18.a1_in1k@v9:"), "{text}");
    assert!(text.ends_with("has none (404, RevisionNotFound)"), "{text}");
    assert_eq!(scene.server.seen().len(), 2, "neither is asked for twice");
    assert!(!scene.settings().cache.exists(), "nothing is left behind");
    Ok(())
}

#[test]
fn a_renamed_repository_is_followed() -> Outcome {
    let scene = Scene::new()?;
    scene.server.rename("timm/old", REPO);
    let file = scene.hub().fetch(&id("timm/old"), &mut |_| {})?;
    assert!(fs::read(&file.path)? == scene.bytes);

    // As a mirror does that leaves the Hub's answers to the Hub.
    let scene = Scene::new()?;
    let endpoint = &scene.server.endpoint;
    let to = format!("Location: {endpoint}/{REPO}/resolve/main/model.safetensors\r\n");
    scene.server.fail_hub(&[Fault::Status(308, to.leak())]);
    scene.is_whole(&scene.fetch()?)
}

#[test]
fn a_connection_cut_midway_is_resumed() -> Outcome {
    let scene = Scene::new()?;
    scene
        .server
        .fail_content(&[Fault::Cut(1000), Fault::Cut(500)]);
    scene.is_whole(&scene.fetch()?)?;
    let ranges = [None, Some("bytes=1000-".into()), Some("bytes=1500-".into())];
    assert_eq!(scene.server.ranges(), ranges);
    Ok(())
}

#[test]
fn a_later_process_goes_on_where_an_earlier_one_gave_up() -> Outcome {
    let scene = Scene::new()?;
    scene.server.fail_content(&vec![Fault::Cut(100); 6]);
    let text = scene.refusal()?;
    assert!(text.contains("and again at each of 6 attempts"), "{text}");
    assert_eq!(
        scene.blobs()?,
        [format!("{}.incomplete", sha256(&scene.bytes))],
        "nothing is there as whole"
    );
    assert_eq!(scene.hub().cached(&id(REPO)), None);
    scene.is_whole(&scene.fetch()?)?;
    assert_eq!(scene.server.ranges().len(), 7);
    assert_eq!(
        scene.server.ranges().pop(),
        Some(Some("bytes=600-".to_string()))
    );
    Ok(())
}

#[test]
fn what_an_earlier_process_left_wrong_is_fetched_again() -> Outcome {
    let scene = Scene::new()?;
    for left in [vec![7; 1000], vec![7; 2_000_000], scene.bytes.clone()] {
        let blobs = scene.repo().join("blobs");
        fs::create_dir_all(&blobs)?;
        let name = format!("{}.incomplete", sha256(&scene.bytes));
        fs::write(blobs.join(name), left)?;
        scene.is_whole(&scene.fetch()?)?;
        fs::remove_dir_all(scene.repo())?;
    }
    let ranges = [Some("bytes=1000-".into()), None, None];
    assert_eq!(scene.server.ranges(), ranges, "the whole one needs none");
    Ok(())
}

#[test]
fn a_size_that_the_hub_does_not_say_is_found_out() -> Outcome {
    let scene = Scene::new()?;
    let blobs = scene.repo().join("blobs");
    fs::create_dir_all(&blobs)?;
    let name = format!("{}.incomplete", sha256(&scene.bytes));
    fs::write(blobs.join(name), &scene.bytes)?;
    scene.server.fail_hub(&[Fault::Header("X-Linked-Size", "")]);
    let mut events = Vec::new();
    let file = scene
        .hub()
        .fetch(&id(REPO), &mut |e| events.push(e.clone()))?;
    assert_eq!(events.first(), Some(&HubEvent::Start { bytes: None }));
    assert_eq!(scene.server.ranges(), [None]);
    scene.is_whole(&file)
}

#[test]
fn a_server_without_ranges_starts_again() -> Outcome {
    let scene = Scene::new()?;
    scene
        .server
        .fail_content(&[Fault::Cut(1000), Fault::NoRange]);
    scene.is_whole(&scene.fetch()?)
}

#[test]
fn wrong_bytes_are_not_kept() -> Outcome {
    let scene = Scene::new()?;
    scene.server.fail_content(&[Fault::Flip]);
    let text = scene.refusal()?;
    let mut flipped = scene.bytes.clone();
    flipped[0] ^= 1;
    let (found, expected) = (sha256(&flipped), sha256(&scene.bytes));
    let says = format!("SHA-256 {found}, expected {expected}; nothing of it was kept");
    assert!(text.ends_with(&says), "{text}");
    assert!(scene.blobs()?.is_empty());
    assert_eq!(scene.hub().cached(&id(REPO)), None);
    scene.is_whole(&scene.fetch()?)
}

#[test]
fn waits_are_as_asked_for_and_bounded() -> Outcome {
    let scene = Scene::new()?;
    scene.server.fail_hub(&[
        Fault::Status(429, "Retry-After: 0\r\n"),
        Fault::Status(503, ""),
        Fault::Status(429, "RateLimit: \"resolvers\";r=0;t=0\r\n"),
        Fault::Status(503, ""),
    ]);
    scene
        .server
        .fail_content(&[Fault::Status(503, "Retry-After: 1\r\n")]);
    let mut waits = Vec::new();
    let file = scene.hub().fetch(&id(REPO), &mut |event| {
        if let HubEvent::Wait { wait, reason } = event {
            waits.push((wait.as_millis(), reason.contains("503")));
        }
    })?;
    scene.is_whole(&file)?;
    assert_eq!(
        waits,
        [(0, false), (2, true), (0, false), (8, true), (1000, true)]
    );

    let scene = Scene::new()?;
    scene
        .server
        .fail_hub(&[Fault::Status(429, "Retry-After: 3600\r\n")]);
    let text = scene.refusal()?;
    assert!(text.contains("429"), "{text}");
    assert!(
        text.ends_with("asks to wait 3600 s: try again then"),
        "{text}"
    );
    assert_eq!(scene.server.seen().len(), 1);

    let scene = Scene::new()?;
    scene.server.fail_hub(&vec![Fault::Status(503, ""); 100]);
    let text = scene.refusal()?;
    assert!(text.contains("answers 503"), "{text}");
    assert_eq!(scene.server.seen().len(), 6);
    Ok(())
}

#[test]
fn two_at_once_download_once() -> Outcome {
    let scene = Scene::new()?;
    let barrier = Barrier::new(2);
    let fetch = || {
        barrier.wait();
        scene.fetch()
    };
    let both = thread::scope(|scope| {
        let threads = [scope.spawn(fetch), scope.spawn(fetch)];
        threads.map(|thread| thread.join())
    });
    for file in both {
        scene.is_whole(&file.map_err(|_| "a panic")??)?;
    }
    assert_eq!(scene.server.ranges(), [None]);
    Ok(())
}

/// Python's huggingface_hub takes the same lock.
#[test]
fn another_holder_of_the_lock_is_waited_for() -> Outcome {
    let scene = Scene::new()?;
    let locks = scene
        .settings()
        .cache
        .join(".locks/models--timm--resnet18.a1_in1k");
    fs::create_dir_all(&locks)?;
    let lock = fs::File::create(locks.join(format!("{}.lock", sha256(&scene.bytes))))?;
    lock.lock()?;
    let mut lock = Some(lock);
    let mut events = Vec::new();
    let file = scene.hub().fetch(&id(REPO), &mut |event| {
        if *event == HubEvent::OtherProcess {
            assert_eq!(scene.server.ranges().len(), 0);
            lock = None;
        }
        events.push(event.clone());
    })?;
    assert_eq!(events.first(), Some(&HubEvent::OtherProcess));
    scene.is_whole(&file)
}

#[test]
fn a_miss_without_a_connection_says_what_to_do() -> Outcome {
    let scene = Scene::new()?;
    let miss = |hub: &Hub, text: &str| -> Result<String, Box<dyn std::error::Error>> {
        let error = hub.get(&id(text), &mut |_| {}).err().ok_or("fetched")?;
        one_line(&error)
    };
    let cache = scene.settings().cache.display().to_string();
    assert_eq!(
        miss(&scene.offline(), REPO)?,
        format!(
            "fetch model.safetensors of {REPO}: it is not in {cache} and HF_HUB_OFFLINE forbids to \
             ask for it: `cass models fetch resnet18` on a computer with a connection gets it"
        )
    );
    let text = miss(&scene.offline(), "owner/other@v1")?;
    assert!(
        text.contains("`cass models fetch owner/other@v1`"),
        "{text}"
    );
    assert!(scene.server.seen().is_empty());

    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let alone = Hub::new(HubSettings {
        endpoint: format!("http://127.0.0.1:{port}"),
        ..scene.settings()
    });
    let text = miss(&alone, REPO)?;
    assert!(text.contains("cannot be reached"), "{text}");
    assert!(text.contains("`cass models fetch resnet18`"), "{text}");
    Ok(())
}

#[test]
fn main_is_looked_up_by_fetch_alone_and_a_commit_stays() -> Outcome {
    let scene = Scene::new()?;
    let first = scene.fetch()?;
    let (next, bytes) = ("f".repeat(40), vec![9; 5000]);
    scene.server.publish(REPO, &next, &bytes);
    assert_eq!(scene.hub().get(&id(REPO), &mut |_| {})?, first);
    let second = scene.fetch()?;
    assert_eq!(second.id, id(&format!("{REPO}@{next}")));
    assert!(fs::read(&second.path)? == bytes);
    assert_eq!(scene.hub().get(&id(REPO), &mut |_| {})?, second);
    assert_eq!(scene.hub().get(&first.id, &mut |_| {})?, first);
    assert!(fs::read(&first.path)? == scene.bytes);
    Ok(())
}

#[test]
fn a_file_that_changed_in_the_cache_is_noticed_and_replaced() -> Outcome {
    let scene = Scene::new()?;
    let file = scene.fetch()?;
    file.check(&sha256(&scene.bytes))?;
    fs::write(scene.repo().join("blobs").join(sha256(&scene.bytes)), b"x")?;
    let error = file.check(&sha256(b"x")).err().ok_or("not noticed")?;
    let text = one_line(&error)?;
    assert!(text.contains("replaces it"), "{text}");
    scene.is_whole(&scene.fetch()?)
}

#[test]
fn answers_that_are_not_the_hubs_are_refused() -> Outcome {
    let outside = "../../../../outside";
    for (fault, expected) in [
        (Fault::Header("X-Repo-Commit", outside), "X-Repo-Commit is"),
        (Fault::Header("X-Repo-Commit", ""), "X-Repo-Commit is"),
        (Fault::Header("X-Linked-Etag", outside), "is no SHA-256"),
        (Fault::Header("X-Linked-Etag", ""), "X-Repo-Commit is"),
        (
            Fault::Header("X-Linked-Size", "999999999999999"),
            "more than",
        ),
        (Fault::Header("X-Linked-Size", "1000"), "more than the 1000"),
        (Fault::Status(200, ""), "X-Repo-Commit is"),
        (Fault::Status(418, ""), "its status is 418"),
        (
            Fault::Status(302, "Location: /timm/resnet18.a1_in1k/resolve/\r\n"),
            "has none (404",
        ),
    ] {
        let scene = Scene::new()?;
        scene.server.fail_hub(std::slice::from_ref(&fault));
        let text = scene.refusal()?;
        assert!(text.contains(expected), "{fault:?}: {text}");
        assert_eq!(scene.hub().cached(&id(REPO)), None);
        assert!(!Path::new(outside).exists());
    }
    let scene = Scene::new()?;
    scene.server.fail_content(&[Fault::More(5)]);
    assert!(scene.refusal()?.contains("sends more than"));
    assert_eq!(scene.hub().cached(&id(REPO)), None);

    let scene = Scene::new()?;
    let again = Fault::Status(
        307,
        "Location: /timm/resnet18.a1_in1k/resolve/main/model.safetensors\r\n",
    );
    scene.server.fail_hub(&vec![again; 100]);
    assert!(scene.refusal()?.contains("redirects without end"));
    assert_eq!(scene.server.seen().len(), 10);

    for to in ["Location: file:///etc/passwd\r\n", "Location: \r\n"] {
        let scene = Scene::new()?;
        scene.server.fail_content(&[Fault::Status(302, to)]);
        assert!(scene.refusal()?.contains("redirects to"), "{to}");
    }
    Ok(())
}

#[test]
fn a_cache_whose_references_lead_outside_has_nothing() -> Outcome {
    let scene = Scene::new()?;
    scene.fetch()?;
    for text in ["../../..", "", "main", &"0".repeat(40)] {
        fs::write(scene.repo().join("refs/main"), text)?;
        assert_eq!(scene.hub().cached(&id(REPO)), None, "{text}");
    }
    Ok(())
}
