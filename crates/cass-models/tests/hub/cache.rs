//! What the cache holds, and who looks into it.

use crate::{Outcome, REPO, Scene, id, one_line};
use cass_models::hub::{Hub, HubEvent, HubSettings};
use cass_testing::hub::{COMMIT, sha256};
use std::fs;
use std::path::Path;

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
            "model.safetensors of {REPO} cannot be fetched: it is not in {cache} and HF_HUB_OFFLINE \
             forbids to ask for it: `cass models fetch resnet18` on a computer with a connection gets it, and \
             `--weights random` does without"
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
fn a_cache_whose_references_lead_outside_has_nothing() -> Outcome {
    let scene = Scene::new()?;
    scene.fetch()?;
    for text in ["../../..", "", "main", &"0".repeat(40)] {
        fs::write(scene.repo().join("refs/main"), text)?;
        assert_eq!(scene.hub().cached(&id(REPO)), None, "{text}");
    }
    Ok(())
}
