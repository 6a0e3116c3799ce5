//! Images that are none, or worse.

use super::damage::copy;
use super::{Case, Verdict};
use crate::subject::walk;
use anyhow::{Result, ensure};
use std::fs;
use std::path::Path;

/// Some images of the data set are spoilt; it is checked, labelled and trained on.
pub(super) fn images(case: &mut Case) -> Result<Verdict> {
    let data = case.path().join("images");
    copy(&case.ground.folder.path().join("data"), &data)?;
    let mut files = Vec::new();
    walk(&data, "", &mut |_, path| {
        files.push(path.to_path_buf());
        Ok(())
    })?;
    for _ in 0..1 + case.rng.below(6) {
        let path = files[case.rng.below(files.len())].clone();
        let what = spoil(case, &path)?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        case.tell(format!("{name} {what}"));
    }
    let run = case.ground.whole("probe");
    let probe = "probe --weights random --arch vit_tiny_patch16_224 --mode knn --size 16 --batch 8 --threads 2 \
        --device cpu --data-root images --skip-bad --out out";
    let commands = [
        "data check --data-root images".to_owned(),
        format!(
            "predict --threads 2 --device cpu images --run {}",
            run.display()
        ),
        probe.to_owned(),
        "data preview --data-root images --skip-bad --out preview.png".to_owned(),
    ];
    for command in &commands {
        let args: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        let ended = case.run(&args)?;
        let fits = matches!(ended.code, Some(0..=2));
        ensure!(
            fits,
            "`{command}` ended with {:?}: {}",
            ended.code,
            ended.said
        );
        // What `predict` prints where there is no terminal is for programs, which need names as they are.
        let shown = if command.starts_with("predict") {
            ""
        } else {
            &ended.out
        };
        let plain = (ended.said.chars().chain(shown.chars())).all(|c| !c.is_control() || c == '\n');
        ensure!(plain, "control characters reach the terminal");
    }
    case.survived()
}

fn spoil(case: &mut Case, path: &Path) -> Result<String> {
    // Drawn before, it may be a link to a device by now, which never ends.
    if !fs::symlink_metadata(path).is_ok_and(|it| it.is_file()) {
        return Ok("is spoilt already".into());
    }
    let mut bytes = fs::read(path)?;
    let length = bytes.len().max(1);
    Ok(match case.rng.below(8) {
        0 => {
            bytes.truncate(case.rng.below(length));
            fs::write(path, bytes)?;
            "is cut".into()
        }
        1 => {
            let noise: Vec<u8> = (0..case.rng.below(5000))
                .map(|_| case.rng.next_u32() as u8)
                .collect();
            fs::write(path, noise)?;
            "is noise".into()
        }
        2 => {
            // A header that promises the largest of all images.
            let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
            png.extend([
                0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 8, 2, 0, 0, 0,
            ]);
            png.extend([0; 40]);
            fs::write(path, png)?;
            "promises 2^62 pixels".into()
        }
        3 => {
            let name = "\u{1b}[31m\u{202e}=HYPERLINK(0).jpg";
            fs::rename(path, path.with_file_name(name)).ok();
            "has a name that moves the cursor".into()
        }
        #[cfg(unix)]
        4 => {
            let _ = fs::remove_file(path);
            std::os::unix::fs::symlink("/dev/zero", path)?;
            "is a link to a device".into()
        }
        #[cfg(unix)]
        5 => {
            let _ = fs::remove_file(path);
            let _ = std::process::Command::new("mkfifo").arg(path).status();
            "is a pipe".into()
        }
        _ => {
            for _ in 0..1 + case.rng.below(20) {
                let place = case.rng.below(length);
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= 1 << case.rng.below(8);
                }
            }
            fs::write(path, bytes)?;
            "has other bits".into()
        }
    })
}
