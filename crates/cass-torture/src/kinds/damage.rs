//! Files that are no longer what was written.

use super::{Case, Verdict};
use crate::ground::{export, predict};
use crate::subject::{Subject, walk};
use anyhow::{Result, bail, ensure};
use std::fs;
use std::path::Path;

pub(super) fn flip_finished(case: &mut Case) -> Result<Verdict> {
    finished(case, flip)
}

pub(super) fn cut_finished(case: &mut Case) -> Result<Verdict> {
    finished(case, cut)
}

pub(super) fn flip_unfinished(case: &mut Case) -> Result<Verdict> {
    unfinished(case, flip)
}

pub(super) fn cut_unfinished(case: &mut Case) -> Result<Verdict> {
    unfinished(case, cut)
}

/// Changes one bit.
fn flip(case: &mut Case, path: &Path) -> Result<String> {
    let mut bytes = fs::read(path)?;
    if bytes.is_empty() {
        bytes.push(0);
    }
    let (place, bit) = (case.rng.below(bytes.len()), case.rng.below(8));
    bytes[place] ^= 1 << bit;
    fs::write(path, bytes)?;
    Ok(format!("bit {bit} of byte {place} flipped"))
}

/// Takes off the end, all, or the file itself.
fn cut(case: &mut Case, path: &Path) -> Result<String> {
    let bytes = fs::read(path)?;
    let kept = match case.rng.below(4) {
        0 => {
            fs::remove_file(path)?;
            return Ok("removed".into());
        }
        1 => 0,
        _ => case.rng.below(bytes.len().max(1)),
    };
    fs::write(path, &bytes[..kept])?;
    Ok(format!("cut to {kept} of {} bytes", bytes.len()))
}

/// A finished run is damaged, and read. What is read is refused, or it says what it said before.
fn finished(case: &mut Case, damage: fn(&mut Case, &Path) -> Result<String>) -> Result<Verdict> {
    let subject = case.subject();
    let out = case.out();
    copy(&case.ground.whole(subject.name), &out)?;
    let Some((name, path)) = case.any_file(&out)? else {
        bail!("there is no file to damage");
    };
    let what = damage(case, &path)?;
    case.tell(format!("{name}: {what}"));
    let ended = match subject.name {
        "pretrain" => {
            let exported = case.path().join("exported");
            let ended = case.run(&export(&out, &exported))?;
            if ended.code == Some(0) {
                let now = cass_run::sha256_of(&exported.join("model.safetensors"))?;
                ensure!(now == case.ground.exported, "a damaged {name} was exported");
            }
            ended
        }
        "probe" => {
            let ended = case.run(&predict(&out))?;
            let same = ended.code != Some(0) || ended.out == case.ground.labels;
            ensure!(same, "a damaged {name} labels images otherwise");
            ended
        }
        _ => {
            let ended = case.again(subject)?;
            subject.expect_done_or_refused(&ended, &out)?;
            ended
        }
    };
    ensure!(
        matches!(ended.code, Some(0 | 2)),
        "it ended with {:?}: {}",
        ended.code,
        ended.said
    );
    case.survived()
}

/// A run is killed and damaged, and the same command given again.
fn unfinished(case: &mut Case, damage: fn(&mut Case, &Path) -> Result<String>) -> Result<Verdict> {
    let subject = case.subject();
    case.kill_midway(subject)?;
    let out = case.out();
    let mut removed = None;
    if let Some((name, path)) = case.any_file(&out)? {
        let what = damage(case, &path)?;
        case.tell(format!("{name}: {what}"));
        // It may have finished before it was killed.
        removed = Some(name).filter(|_| !path.exists() && out.join("metrics.json").is_file());
    }
    let ended = case.again(subject)?;
    let Some(name) =
        removed.filter(|_| ended.code == Some(0) && subject.expect_whole(&out).is_err())
    else {
        subject.expect_done_or_refused(&ended, &out)?;
        return case.survived();
    };
    // A result that is gone is named, and not missed otherwise.
    let said = ended.said.contains("removed since it finished: ") && ended.said.contains(&name);
    ensure!(
        said,
        "{name} is gone, and nothing is said of it: {}",
        ended.said
    );
    case.survived()
}

/// What is told of a run may be lost without the run.
pub(super) fn log(case: &mut Case) -> Result<Verdict> {
    let subject: &Subject = &case.ground.subjects[0];
    case.kill_midway(subject)?;
    let out = case.out();
    for name in ["log.jsonl", "events.out.tfevents.cass", "provenance.json"] {
        let path = out.join(name);
        if path.is_file() && case.rng.bernoulli(0.7) {
            let damage = [flip, cut][case.rng.below(2)];
            let what = damage(case, &path)?;
            case.tell(format!("{name}: {what}"));
        }
    }
    let ended = case.again(subject)?;
    subject.expect_done(&ended, &out)?;
    case.survived()
}

/// Copies a folder, links left out.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    walk(from, "", &mut |name, path| {
        let to = to.join(name);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(path, to)?;
        Ok(())
    })
}
