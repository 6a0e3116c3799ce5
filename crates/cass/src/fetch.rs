//! `cass models fetch`: weights from the Hub into the cache.

use crate::failure::Result;
use crate::hub::Transfer;
use crate::next::word;
use crate::say::Report;
use cass_models::Error;
use cass_models::hub::{Hub, HubFault, HubId, HubSettings};
use cass_models::registry::find;
use serde_json::json;
use std::fmt::Write as _;
use std::time::Duration;

/// Bring weights from the Hugging Face Hub into the cache, for runs without a connection.
///
/// What the cache has is checked, byte for byte; what broke off continues. The cache is the one of
/// Python's huggingface_hub: HF_HOME and HF_HUB_CACHE say where, HF_ENDPOINT whom to ask, HF_TOKEN
/// who asks.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Networks by timm's names, with or without a tag, or repositories as OWNER/NAME or OWNER/NAME@REVISION.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// What a file may take in all, in seconds; what has come by then is kept, and the same command
    /// continues.
    #[arg(long, value_name = "SECONDS", default_value_t = 7200, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    timeout: u64,
}

const EXAMPLE: &str = "\
Examples:
  cass models fetch resnet50 vit_base_patch16_384
  HF_HOME=/shared/huggingface cass models fetch timm/resnet50.a1_in1k@main";

pub fn run(args: &Args) -> Result<Report> {
    // All names first: a typing mistake should not show after an hour.
    let ids: Vec<HubId> = args.names.iter().map(|n| id(n)).collect::<Result<_>>()?;
    let hub = Hub::new(HubSettings {
        timeout: Duration::from_secs(args.timeout),
        ..Hub::from_env()?.settings().clone()
    });
    let (mut text, mut fetched) = (String::new(), Vec::new());
    for (name, id) in args.names.iter().zip(&ids) {
        let mut transfer = Transfer::new(name);
        let file = hub.fetch(id, &mut |event| transfer.show(event))?;
        let sha256 = file.sha256.unwrap_or_default();
        let short = sha256.get(..12).unwrap_or_default();
        let path = file.path.display().to_string();
        let _ = writeln!(text, "{name}: {} (sha256 {short}…) in {path}", file.id);
        fetched.push(json!({
            "name": name,
            "repo": file.id.repo(),
            "revision": file.id.revision(),
            "sha256": sha256,
            "file": path,
        }));
    }
    let (weights, arch) = match args.names.first() {
        Some(repo) if repo.contains('/') => {
            let repo = repo.strip_prefix("hub:").unwrap_or(repo);
            (format!("hub:{}", word(repo)), "NAME".to_owned())
        }
        name => ("hub".into(), name.map(word).unwrap_or_default()),
    };
    Ok(
        Report::done(text, json!({ "fetched": fetched })).next(format!(
            "cass probe --weights {weights} --arch {arch} --data-root DIR --out runs/probe"
        )),
    )
}

fn id(name: &str) -> Result<HubId> {
    if !name.contains('/') {
        return Ok(HubId::of(find(name)?));
    }
    let parsed = name.strip_prefix("hub:").unwrap_or(name).parse();
    Ok(parsed.map_err(|fault: HubFault| Error::Hub {
        what: name.into(),
        fault: fault.into(),
    })?)
}
