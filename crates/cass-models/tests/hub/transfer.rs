//! Bytes on the way: broken off, resumed, wrong, waited for.

use crate::{Outcome, REPO, Scene, id};
use cass_models::hub::HubEvent;
use cass_testing::hub::{Fault, sha256};
use std::sync::Barrier;
use std::{fs, thread};

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
