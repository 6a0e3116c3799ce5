//! Stands in for `cass` in tests: leaves run folders of the right shape with numbers made up from the folder's name.
//!
//! Variables of the environment: `FAKE_FAIL` names runs that fail, `FAKE_EXIT` their exit code, `FAKE_LOG` a file that
//! gets a line a start, `FAKE_SLEEP` the seconds that a run takes; where there is a file `FAKE_BUSY`, a run is another
//! process's, once.

use cass_run::{Metrics, names};
use cass_testing::runs::{begin, leave, pretrained, probed};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::exit;
use std::time::Duration;
use std::{env, thread};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let after = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1).cloned()
    };
    let command = arguments.first().map_or("", String::as_str);
    match (command, arguments.get(1).map_or("", String::as_str)) {
        ("--json", _) => return println!("{{\"median_ms\":300.0,\"peak_rss_mib\":700.0}}"),
        ("--version", _) => return println!("cass 0.0.0 (fake)"),
        ("data", "preview") => exit(1),
        _ => {}
    }
    if arguments.iter().any(|argument| argument == "--dry-run") {
        if arguments
            .iter()
            .any(|argument| argument.starts_with("zero_gard="))
        {
            eprintln!("error: unknown key `zero_gard`, did you mean `zero_grad`?");
            exit(2);
        }
        return;
    }
    let out = after("--out").unwrap_or_default();
    let out = Path::new(&out);
    let name = out
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    if let Ok(log) = env::var("FAKE_LOG") {
        append(Path::new(&log), &format!("{command} {name}\n"));
    }
    if command == "data" {
        return images(out);
    }
    let recipe = cass_run::to_toml(&BTreeMap::from([("arguments", &arguments)]));
    sleep(out, &recipe);
    if env::var("FAKE_BUSY").is_ok_and(|file| fs::remove_file(file).is_ok()) {
        let place = out.display();
        eprintln!("error: {place} cannot be used: process 1 on elsewhere is running in it");
        exit(75);
    }
    if env::var("FAKE_FAIL").is_ok_and(|part| !part.is_empty() && name.contains(&part)) {
        eprintln!("starting\nerror: failed to go on: made to <fail> & stop");
        exit(
            env::var("FAKE_EXIT")
                .ok()
                .and_then(|code| code.parse().ok())
                .unwrap_or(1),
        );
    }
    let noise = u32::from_str_radix(&cass_run::sha256(&name)[..4], 16).unwrap_or(0);
    let noise = f64::from(noise) / 65535.0;
    let number = |flag: &str| after(flag).and_then(|text| text.parse::<f64>().ok());
    let metrics = if command == "pretrain" {
        let method = after("--method").unwrap_or_default();
        Metrics::Pretrain(pretrained(
            &method,
            number("--epochs").unwrap_or(1.0) as usize,
            noise,
        ))
    } else {
        let fraction = number("--fraction").unwrap_or(1.0);
        let arch = after("--arch").unwrap_or_default();
        let mode = after("--mode").unwrap_or_default();
        let score = score(&name, fraction, noise);
        drop(begin(out, &recipe));
        fs::write(out.join(names::PREDICTIONS), predictions(&name, score)).expect("predictions");
        Metrics::Probe(probed(&mode, &arch, fraction, score))
    };
    leave(out, &recipe, metrics);
}

/// CASS's frozen features fail, supervised training does best.
fn score(name: &str, fraction: f64, noise: f64) -> f64 {
    let named = |part: &str| name.contains(part);
    let start = match fraction {
        f if f > 0.5 => 0.58,
        f if f > 0.05 => 0.46,
        _ => 0.31,
    };
    let mut score = if named("linear-cass") { 0.1 } else { start };
    for (part, more) in [("supervised", 0.22), ("dino", 0.04), ("cnn", 0.03)] {
        score += if named(part) { more } else { 0.0 };
    }
    score + 0.05 * (noise - 0.5)
}

/// Of a hundred images of four classes, about so many right.
fn predictions(name: &str, score: f64) -> String {
    const CLASSES: [&str; 4] = ["glioma", "meningioma", "notumor", "pituitary"];
    let mut text = "file,true,predicted\n".to_owned();
    for image in 0..100 {
        let draw = u32::from_str_radix(&cass_run::sha256(format!("{name} {image}"))[..4], 16);
        let right = f64::from(draw.unwrap_or(0)) / 65535.0 < score;
        let [truth, said] = [image, image + usize::from(!right)].map(|class| CLASSES[class % 4]);
        text += &format!("{image}.jpg,{truth},{said}\n");
    }
    text
}

/// A data set of one image for each class and part, which nothing decodes.
fn images(out: &Path) {
    for part in ["Training", "Testing"] {
        for class in ["glioma", "meningioma", "notumor", "pituitary"] {
            let folder = out.join(part).join(class);
            fs::create_dir_all(&folder).expect("a folder for images");
            fs::write(folder.join("1.png"), "x\n").expect("an image");
        }
    }
}

/// As cass does: asked to stop, it leaves something to continue from.
fn sleep(out: &Path, recipe: &str) {
    let seconds = env::var("FAKE_SLEEP")
        .ok()
        .and_then(|text| text.parse().ok());
    let Some(seconds) = seconds else { return };
    let _run = begin(out, recipe);
    let asked = out.join("asked");
    let stop = move || {
        append(&asked, "asked\n");
        exit(130);
    };
    if env::var_os(cass_run::ENDS_WITH_STDIN).is_some() {
        let stop = stop.clone();
        thread::spawn(move || {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            stop();
        });
    }
    ctrlc::set_handler(stop).expect("a handler of signals");
    fs::write(out.join("asleep"), "").expect("a file that says so");
    thread::sleep(Duration::from_secs(seconds));
}

fn append(file: &Path, line: &str) {
    let file = OpenOptions::new().create(true).append(true).open(file);
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .expect("a line in a file");
}
