//! The command with weights from a Hub on loopback.

use cass_models::{Model, ModelOptions};
use cass_testing::hub::{COMMIT, Fault, Server, sha256};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

const REPO: &str = "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k";
const SMALL: &str = "--data-root data --size 16 --epochs 1 --batch 8 --threads 2 --device cpu";

struct Bench {
    folder: tempfile::TempDir,
    server: Server,
    sha256: String,
}

impl Bench {
    /// Phantoms in `data`, and a Hub with made-up weights of the smallest network.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("made-up.safetensors");
        let options = ModelOptions {
            seed: 9,
            ..Default::default()
        };
        let model = Model::new("vit_tiny_patch16_224", &options).unwrap();
        model.save(&file, &[]).unwrap();
        let bytes = fs::read(&file).unwrap();
        let server = Server::start().unwrap();
        server.publish(REPO, COMMIT, &bytes);
        let bench = Self {
            folder,
            server,
            sha256: sha256(&bytes),
        };
        let draw = "data phantom --out data --train-per-class 6 --test-per-class 2 --size 24";
        assert_eq!(bench.cass(draw, &[]).status.code(), Some(0));
        bench
    }

    fn cass(&self, args: &str, variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cass"));
        for name in [
            "RUST_LOG",
            "HF_TOKEN",
            "HF_HUB_CACHE",
            "HF_HUB_OFFLINE",
            "SSL_CERT_FILE",
            "REQUESTS_CA_BUNDLE",
        ] {
            command.env_remove(name);
        }
        command
            .args(args.split_whitespace())
            .current_dir(self.folder.path())
            .env("HF_HOME", self.path("hf"))
            .env("HF_ENDPOINT", &self.server.endpoint)
            .env("NO_PROXY", "127.0.0.1")
            .envs(variables.iter().copied());
        command.output().unwrap()
    }

    fn json(&self, args: &str, variables: &[(&str, &str)]) -> Value {
        let output = self.cass(&format!("{args} --json"), variables);
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().last().unwrap_or_default();
        let error = String::from_utf8_lossy(&output.stderr);
        serde_json::from_str(line).unwrap_or_else(|_| panic!("{text}\n{error}"))
    }

    /// Asserts that a command fails with `code` and one line that contains every part of `said`.
    fn fails(&self, args: &str, variables: &[(&str, &str)], code: i32, said: &[&str]) {
        let output = self.cass(args, variables);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args}: {text}");
        let last = text.lines().last().unwrap_or_default();
        assert!(last.starts_with("error: "), "{args}: {text}");
        for part in said {
            assert!(
                last.contains(part),
                "{args}: {last:?} does not say {part:?}"
            );
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn recipe(&self, run: &str) -> String {
        fs::read_to_string(self.path(run).join("recipe.toml")).unwrap()
    }
}

#[test]
fn a_run_from_the_hub_keeps_what_it_started_from() {
    let bench = Bench::new();
    let probe = "probe --weights hub --arch vit_tiny_patch16_224";
    let args = format!("{probe} {SMALL} --out p");
    let metrics = bench.json(&args, &[]);
    let pinned = format!("hub:{REPO}@{COMMIT}");
    assert_eq!(
        metrics["weights"],
        serde_json::json!({
            "source": pinned,
            "repo": REPO,
            "revision": COMMIT,
            "sha256": bench.sha256,
        })
    );
    assert!(
        bench
            .recipe("p")
            .contains(&format!("weights = \"{pinned}\""))
    );
    let deviations = metrics["deviations"].to_string();
    assert!(!deviations.contains("\"weights"), "{deviations}");

    // It goes on from there, whatever `hub` means by now, and asks nobody.
    let seen = bench.server.seen();
    let nobody = [("HF_HOME", "elsewhere"), ("HF_HUB_OFFLINE", "1")];
    assert_eq!(bench.json(&args, &nobody), metrics);
    bench.server.publish(REPO, &"f".repeat(40), b"other");
    assert_eq!(bench.json(&args, &[]), metrics);
    assert_eq!(bench.server.seen(), seen);

    // Another run, and no connection.
    let offline = [("HF_HUB_OFFLINE", "1")];
    let dino = format!("pretrain --method dino --net vit_tiny_patch16_224 {SMALL}");
    let output = bench.cass(&format!("{dino} --weights hub --out d"), &offline);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    let says = format!(
        "net: loaded 152 tensors (5.7 M parameters, sha256 {}…) from {pinned}; positions 14x14 → 1x1",
        &bench.sha256[..12]
    );
    assert!(text.contains(&says), "{text}");
    let log = fs::read_to_string(bench.path("d/log.jsonl")).unwrap();
    assert!(log.contains(&pinned), "{log}");
    assert_eq!(bench.server.seen(), seen);
    // A copy of the recipe, where the cache lacks the file.
    let copy = "probe --weights hub --arch vit_tiny_patch16_224";
    bench.fails(
        &format!("{copy} {SMALL} --out q"),
        &nobody,
        2,
        &["`cass models fetch vit_tiny_patch16_224`"],
    );
    let recipe = format!("pretrain --recipe d/recipe.toml {SMALL} --out e");
    let fetch = format!("`cass models fetch {REPO}@{COMMIT}`");
    bench.fails(&recipe, &nobody, 2, &[&fetch]);
}

#[test]
fn fetch_fills_the_cache_and_mends_it() {
    let bench = Bench::new();
    let other = b"not looked into".to_vec();
    bench.server.publish("owner/other", COMMIT, &other);
    let args = "models fetch vit_tiny_patch16_224 owner/other";
    let first = bench.json(args, &[]);
    let snapshot = "hf/hub/models--owner--other/snapshots";
    let file = bench.path(snapshot).join(COMMIT).join("model.safetensors");
    assert_eq!(fs::read(&file).unwrap(), other);
    let fetched = &first["fetched"];
    assert_eq!(fetched[0]["repo"], REPO);
    assert_eq!(fetched[0]["sha256"], *bench.sha256);
    assert_eq!(
        fetched[1],
        serde_json::json!({
            "name": "owner/other",
            "repo": "owner/other",
            "revision": COMMIT,
            "sha256": sha256(&other),
            "file": file,
        })
    );
    let listed = bench.json(
        "models list vit_tiny*",
        &[("HF_ENDPOINT", "http://127.0.0.1:9")],
    );
    let listed = listed["models"].as_array().unwrap().iter();
    let listed: Vec<_> = listed
        .map(|m| (m["name"].as_str().unwrap(), m["cached"].as_bool().unwrap()))
        .collect();
    let (here, absent) = ("vit_tiny_patch16_224", "vit_tiny_patch16_384");
    assert_eq!(listed, [(here, true), (absent, false)]);
    let before = bench.server.ranges().len();
    assert_eq!(bench.json(args, &[("HF_HUB_OFFLINE", "1")]), first);
    fs::write(&file, b"damaged").unwrap();
    assert_eq!(bench.json(args, &[]), first);
    assert_eq!(fs::read(&file).unwrap(), other);
    assert_eq!(bench.server.ranges().len(), before + 1);

    let text = bench.cass("models fetch vit_tiny_patch16_224 resnet51", &[]);
    assert_eq!(text.status.code(), Some(2));
    let text = String::from_utf8_lossy(&text.stderr).into_owned();
    assert!(text.contains("the nearest name is \"resnet50\""), "{text}");
    bench.fails(
        "models fetch ../x",
        &[],
        2,
        &["../x", "expected OWNER/NAME"],
    );
}

#[test]
fn weights_that_are_not_to_be_had_are_one_line_and_claim_no_folder() {
    let bench = Bench::new();
    let probe = |weights: &str, network: &str| {
        format!("probe --weights {weights} --arch {network} {SMALL} --out p")
    };
    let tiny = "vit_tiny_patch16_224";
    let offline = [("HF_HUB_OFFLINE", "1")];
    let fetch = "`cass models fetch resnet18`";
    bench.fails(
        &probe("hub", "resnet18"),
        &offline,
        2,
        &["model.safetensors of timm/resnet18.a1_in1k", fetch],
    );
    // A tag is asked for by its own name.
    bench.fails(
        &probe("hub", "resnet18.tv_in1k"),
        &offline,
        2,
        &["`cass models fetch resnet18.tv_in1k`"],
    );
    bench.fails(
        &probe("hub", "resnet18"),
        &[],
        2,
        &["401, RepoNotFound", "HF_TOKEN"],
    );
    let other = format!("hub:{REPO}@v9");
    bench.fails(&probe(&other, tiny), &[], 2, &["404, RevisionNotFound"]);
    bench.server.fail_content(&[Fault::Flip]);
    bench.fails(
        &probe("hub", tiny),
        &[],
        1,
        &["SHA-256", "nothing of it was kept"],
    );
    bench
        .server
        .fail_hub(&[Fault::Status(429, "Retry-After: 9999\r\n")]);
    bench.fails(&probe("hub", tiny), &[], 1, &["429", "wait 9999 s"]);
    let nowhere = [("HF_ENDPOINT", "nowhere")];
    bench.fails(
        &probe("hub", tiny),
        &nowhere,
        2,
        &["HF_ENDPOINT is \"nowhere\""],
    );
    assert!(!bench.path("p").exists());

    let usage = bench.cass(&probe("hub:../x", tiny), &[]);
    let text = String::from_utf8_lossy(&usage.stderr).into_owned();
    assert_eq!(usage.status.code(), Some(2), "{text}");
    assert!(text.contains("expected OWNER/NAME"), "{text}");
}

/// A server to which no connection comes about, as behind a firewall that drops packets: its queue is full.
#[cfg(target_os = "linux")]
#[test]
fn a_hub_that_nobody_reaches_is_given_up_within_five_seconds_with_both_ways_out() {
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};
    let bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let patience = Duration::from_millis(200);
    let queue: Vec<TcpStream> = (0..8192)
        .map_while(|_| TcpStream::connect_timeout(&address, patience).ok())
        .collect();
    assert!(queue.len() < 8192, "the queue is never full");
    let endpoint = format!("http://{address}");
    let pretrain = format!("pretrain --method dino --net resnet18 --weights hub {SMALL} --out r");
    let since = Instant::now();
    let ways = [
        "cannot be reached",
        "`cass models fetch resnet18`",
        "`--weights random`",
    ];
    bench.fails(&pretrain, &[("HF_ENDPOINT", &endpoint)], 1, &ways);
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "{:?}",
        since.elapsed()
    );
    assert!(!bench.path("r").exists());
    drop(queue);
}
