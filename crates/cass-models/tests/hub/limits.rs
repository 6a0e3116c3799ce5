//! Servers without an end: of bytes, or of time.

use crate::{Outcome, REPO, Scene, id, one_line};
use cass_models::hub::{Hub, HubSettings};
use cass_testing::hub::Fault;
use std::time::{Duration, Instant};

impl Scene {
    /// The one line of a fetch that may take a second, which it ends in a few.
    fn out_of_time(&self) -> Result<String, Box<dyn std::error::Error>> {
        let hub = Hub::new(HubSettings {
            timeout: Duration::from_secs(1),
            ..self.settings()
        });
        let since = Instant::now();
        let error = hub.fetch(&id(REPO), &mut |_| {}).err().ok_or("fetched")?;
        let seconds = since.elapsed().as_secs_f64();
        assert!(seconds < 10.0, "{seconds}");
        one_line(&error)
    }
}

#[test]
fn a_body_without_length_or_end_is_bounded_by_the_network() -> Outcome {
    let scene = Scene::new()?;
    scene.server.fail_hub(&[Fault::Header("X-Linked-Size", "")]);
    scene.server.fail_content(&[Fault::Endless]);
    let text = scene.refusal()?;
    // ResNet-18 has 11.7 million parameters.
    assert!(text.contains("it sends more than the 110"), "{text}");
    let left = scene.repo().join("blobs");
    let left = std::fs::read_dir(left)?
        .flatten()
        .map(|entry| entry.metadata());
    let left: u64 = left.flatten().map(|entry| entry.len()).sum();
    assert_eq!(left, 0, "bytes of it were kept");

    // A size that is stated is held to the same.
    let size = Fault::Header("X-Linked-Size", "999999999");
    scene.server.fail_hub(&[size]);
    let text = scene.refusal()?;
    assert!(
        text.contains("has 999999999 bytes, expected at most 110"),
        "{text}"
    );
    scene.is_whole(&scene.fetch()?)
}

#[test]
fn a_byte_at_a_time_ends_in_time_and_what_came_is_kept() -> Outcome {
    let scene = Scene::new()?;
    scene.server.fail_content(&[Fault::Slow(5)]);
    let text = scene.out_of_time()?;
    assert!(text.contains("did not send all of it within 1 s"), "{text}");
    scene.is_whole(&scene.fetch()?)?;
    let ranges = scene.server.ranges();
    assert_eq!(ranges.len(), 2, "{ranges:?}");
    Ok(())
}

#[test]
fn silence_ends_in_time() -> Outcome {
    for of_hub in [true, false] {
        let scene = Scene::new()?;
        let silent = [Fault::Silent(20_000)];
        match of_hub {
            true => scene.server.fail_hub(&silent),
            false => scene.server.fail_content(&silent),
        }
        let text = scene.out_of_time()?;
        assert!(text.contains("did not send all of it within 1 s"), "{text}");
        scene.is_whole(&scene.fetch()?)?;
    }
    Ok(())
}

#[test]
fn a_password_of_the_endpoint_is_in_no_message() -> Outcome {
    let scene = Scene::new()?;
    let host = scene
        .server
        .endpoint
        .trim_start_matches("http://")
        .to_string();
    let hub = |endpoint: String| {
        Hub::new(HubSettings {
            endpoint,
            cache: scene.folder.path().join("other"),
            ..scene.settings()
        })
    };
    for (endpoint, repo) in [
        (format!("http://me:secret@{host}"), "timm/absent"),
        ("http://me:secret@127.0.0.1:1".into(), REPO),
    ] {
        let error = hub(endpoint).fetch(&id(repo), &mut |_| {});
        let text = one_line(&error.err().ok_or("fetched")?)?;
        assert!(
            !text.contains("secret") && text.contains("…@127.0.0.1"),
            "{text}"
        );
    }
    Ok(())
}
