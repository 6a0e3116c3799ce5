//! What the Hub may answer, and what is refused.

use crate::{Outcome, REPO, Scene, id, one_line};
use cass_models::hub::{Hub, HubSettings};
use cass_testing::hub::{Fault, Seen, TOKEN};
use std::fs;
use std::path::Path;

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
    assert!(
        text.contains("resnet18.a1_in1k@v9 cannot be fetched: "),
        "{text}"
    );
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
fn answers_that_are_not_the_hubs_are_refused() -> Outcome {
    let outside = "../../../../outside";
    for (fault, expected) in [
        (Fault::Header("X-Repo-Commit", outside), "X-Repo-Commit is"),
        (Fault::Header("X-Repo-Commit", ""), "X-Repo-Commit is"),
        (Fault::Header("X-Linked-Etag", outside), "is no SHA-256"),
        (Fault::Header("X-Linked-Etag", ""), "X-Repo-Commit is"),
        (
            Fault::Header("X-Linked-Size", "999999999999999"),
            "expected at most",
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
