//! Names of files and classes that would move the cursor, turn the text, or run in a spreadsheet.
#![cfg(unix)]

mod bench;

use bench::Bench;
use cass_metrics::Predictions;
use std::fs;
use std::path::Path;
use std::process::Output;

/// Two classes, and what is in each name of an image.
const CLASSES: [&str; 2] = ["=HYPERLINK(\"x\")", "e\u{1b}[31m\u{202e}vil"];

/// Whether a text is for people to read: nothing hidden in it but the ends of its lines.
fn is_plain(text: &str) -> bool {
    text == cass_run::printable_lines(text)
}

/// Fifteen images of each class, in a layout of folders.
fn data(bench: &Bench) {
    let mut images = Vec::new();
    for part in ["Training", "Testing"] {
        let folder = bench.path("data/brain-mri").join(part);
        let folder = if folder.is_dir() {
            folder
        } else {
            bench.path("data").join(part)
        };
        for class in fs::read_dir(folder).unwrap() {
            let entries = fs::read_dir(class.unwrap().path()).unwrap();
            images.extend(entries.map(|entry| entry.unwrap().path()));
        }
    }
    images.sort();
    assert!(images.len() >= 30, "{}", images.len());
    for (number, image) in images.iter().take(30).enumerate() {
        let class = bench.path("odd").join(CLASSES[number % 2]);
        fs::create_dir_all(&class).unwrap();
        let name = format!("\u{1b}[2J{number:02}\u{202e}\n.jpg");
        fs::copy(image, class.join(name)).unwrap();
    }
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(text).unwrap()
}

#[test]
fn no_name_reaches_a_terminal_a_page_or_a_spreadsheet_as_more_than_text() {
    let bench = Bench::new();
    data(&bench);
    let probe = "probe --weights random --arch vit_tiny_patch16_224 --mode logistic --size 16 --batch 8 \
        --threads 2 --device cpu --data folder --data-root odd --out run";
    for (command, code) in [
        (
            "data check --data folder --data-root odd --html check.html",
            1,
        ),
        (
            "data preview --data folder --data-root odd --out preview.png",
            0,
        ),
        (probe, 0),
        ("metrics --predictions run/predictions.csv", 0),
        ("predict --run run odd", 0),
        ("embed --run run --out embed.html", 0),
        ("probe --run odd --arm x --out y", 2),
    ] {
        let output = bench.cass(command);
        let text = said(&output);
        assert!(
            output.status.code().is_some_and(|c| c <= code),
            "{command}: {text}"
        );
        if command.starts_with("predict") {
            // Its lines are a file's, for programs; only those for people are held to.
            assert!(
                is_plain(&String::from_utf8_lossy(&output.stderr)),
                "{command}"
            );
        } else {
            assert!(is_plain(&text), "{command}: {text:?}");
        }
    }
    let shown = said(&bench.cass("metrics --predictions run/predictions.csv"));
    assert!(shown.contains("e\\u{1b}[31m\\u{202e}vil"), "{shown}");
    for page in ["check.html", "embed.html", "run/confusion.svg"] {
        if let Ok(text) = fs::read_to_string(bench.path(page)) {
            assert!(
                !text.contains('\u{1b}') && !text.contains('\u{202e}'),
                "{page}"
            );
        }
    }
    in_a_spreadsheet(&bench.path("run/predictions.csv"));
}

/// No field of the file is a formula, and it reads back as what it was.
fn in_a_spreadsheet(file: &Path) {
    let text = fs::read_to_string(file).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    assert!(
        reader
            .headers()
            .unwrap()
            .iter()
            .any(|name| name == "'=HYPERLINK(\"x\")"),
        "{text}"
    );
    for record in reader.records() {
        let record = record.unwrap();
        assert!(
            record.iter().all(|field| !field.starts_with('=')),
            "{record:?}"
        );
    }
    let read = Predictions::read(file).unwrap();
    assert_eq!(read.classes, CLASSES);
    assert_eq!(read.to_csv().unwrap(), text.as_bytes());
}
