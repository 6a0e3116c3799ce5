//! One small data set of each kind that people have, and the command that checks it.
//!
//! ```text
//! cargo run -p cass-data --example zoo -- DIR
//! ```

use cass_data::image::Pixels;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

type Done = Result<(), Box<dyn Error>>;

/// A picture that no other number has.
fn picture(number: usize) -> Pixels {
    let level = |i: usize| {
        let (x, y) = ((i % 32) as f64, (i / 32) as f64);
        let wave = (x / (2.0 + number as f64 / 3.0) + y / 5.0 + number as f64).sin();
        (128.0 + 100.0 * wave) as u8
    };
    Pixels::from_grey(32, 32, (0..32 * 32).map(level).collect())
}

struct Zoo {
    root: PathBuf,
    drawn: usize,
}

impl Zoo {
    /// A data set: its name, the flags it needs, its images, and its tables.
    fn set(&mut self, name: &str, flags: &str, images: &[&str], tables: &[(&str, &str)]) -> Done {
        let folder = self.root.join(name);
        for image in images {
            let path = folder.join(image);
            fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            picture(self.drawn).write_png(&path)?;
            self.drawn += 1;
        }
        for (table, text) in tables {
            fs::create_dir_all(&folder)?;
            fs::write(folder.join(table), text)?;
        }
        let data = if tables.iter().any(|(table, _)| table.ends_with("csv")) {
            "csv"
        } else {
            "folder"
        };
        println!(
            "cass data check --data {data} --data-root {} {flags}",
            folder.display()
        );
        Ok(())
    }
}

fn main() -> Done {
    let root = std::env::args().nth(1).ok_or("usage: zoo DIR")?;
    let mut zoo = Zoo {
        root: root.into(),
        drawn: 0,
    };
    let four = ["1.png", "2.png", "3.png", "4.png"];
    let semicolons =
        "image;u;v\r\n1.png;1,0;0,0\r\n2.png;0,0;1,0\r\n3.png;1,0;0,0\r\n4.png;0,0;1,0\r\n";
    zoo.set("semicolons", "", &four, &[("all.csv", semicolons)])?;
    let pandas = ",image_id,dx,age\n0,1,nv,50.0\n1,2,mel,60.0\n2,3,,70.0\n3,4,nv,\n";
    zoo.set("pandas", "", &four, &[("all.csv", pandas)])?;
    let marks = "image,u,v,age,sex\n1,1,0,50,f\n2,1,1,60,m\n3,0,0,55,f\n4,0,1,61,m\n";
    zoo.set("marks", "--labels u,v", &four, &[("all.csv", marks)])?;
    let chexpert = "Path,Edema,Fracture\n1.png,1.0,\n2.png,-1.0,0.0\n3.png,0.0,1.0\n4.png,,-1.0\n";
    zoo.set(
        "chexpert",
        "--uncertain ignore",
        &four,
        &[("all.csv", chexpert)],
    )?;
    let several =
        "Image Index,Finding Labels,Patient ID\n1.png,a|b,7\n2.png,a,7\n3.png,b,8\n4.png,a,9\n";
    zoo.set("several", "", &four, &[("all.csv", several)])?;
    let windows = "path,label\nx\\1.png,a\nx\\2.png,b\nx\\3.png,a\n";
    zoo.set(
        "windows",
        "",
        &["x/1.png", "x/2.png", "x/3.png"],
        &[("all.csv", windows)],
    )?;
    let foreign = "path,label\n/kaggle/input/a/1.png,a\n/kaggle/input/a/2.png,b\n";
    zoo.set(
        "foreign",
        "",
        &["a/1.png", "a/2.png"],
        &[("all.csv", foreign)],
    )?;
    let parts = [
        ("train.csv", "path,label\n1,a\n2,b\n"),
        ("test.csv", "path,label\n3,a\n4,b\n"),
    ];
    zoo.set("parts", "", &four, &parts)?;
    zoo.set(
        "paths-alone",
        "",
        &four,
        &[("all.csv", "path\n1.png\n2.png\n3.png\n4.png\n")],
    )?;
    let itself = ["yes/1.png", "no/1.png", "data/yes/1.png", "data/no/1.png"];
    zoo.set("itself", "", &itself, &[])?;
    zoo.set("too-deep", "", &["set/yes/1.png", "set/no/1.png"], &[])?;
    let litter = [
        "a/1.png",
        "b/1.png",
        "__MACOSX/a/1.png",
        "a/._1.png",
        "@eaDir/1.png",
        "stray.png",
    ];
    zoo.set("litter", "", &litter, &[("a/README.txt", "no image")])?;
    let masks = ["a/1.png", "a/1_mask.png", "b/1.png", "b/1_mask.png"];
    zoo.set("masks", "--exclude '*_mask.*'", &masks, &[])?;
    let patients = [
        "a/p1/1.png",
        "a/p1/2.png",
        "a/p2/1.png",
        "b/p3/1.png",
        "b/p4/1.png",
    ];
    zoo.set("patients", "", &patients, &[])?;
    zoo.set(
        "dates",
        "",
        &["2021/03/1.png", "2021/04/2.png", "2022/01/3.png"],
        &[],
    )
}
