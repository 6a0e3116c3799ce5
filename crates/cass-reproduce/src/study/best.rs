//! The network to use, as a folder of its own: a finished probe, and what timm loads.

use super::budget::ends;
use super::cass::{ask, path, words};
use super::found::{Cell, Found, Scored};
use super::plan::Study;
use crate::executor::Site;
use crate::plan::Downstream;
use crate::table::{Arm, Method};
use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The network to use, and how it was found.
#[derive(Serialize)]
pub struct Best {
    pub path: PathBuf,
    pub arm: Arm,
    pub network: String,
    /// What it began from: `Untrained`, `CASS` or `Supervised`.
    pub method: Method,
    pub downstream: Downstream,
    pub seed: u64,
    pub labels: usize,
    pub size: u32,
    pub classes: Vec<String>,
    /// Mean macro F1 on validation images, by which it was chosen among its like.
    pub val_f1_macro: f64,
    /// Macro F1 on test images: of this training, and of all trainings of its kind with their sample deviation.
    pub f1_macro: f64,
    pub mean: f64,
    pub std: Option<f64>,
    /// The run it is from.
    #[serde(skip)]
    pub run: PathBuf,
}

impl Best {
    /// The kind with the highest mean macro F1 on validation images, of all that are fitted to all labels and give a
    /// classifier; of its trainings the one that is highest there. Test images decide nothing.
    pub fn of(study: &Study, found: &Found, out: &Path) -> Option<Best> {
        let [_, all] = ends(&study.choice.percents);
        let fits = |cell: &&Cell| cell.percent == all && cell.downstream != Downstream::Knn;
        let by_val = |a: &&Cell, b: &&Cell| a.val_f1().total_cmp(&b.val_f1());
        // Of equals the simplest stays, which stands first.
        let cell = found.cells.iter().rev().filter(fits).max_by(by_val)?;
        let of_run = |a: &&Scored, b: &&Scored| a.val_f1.total_cmp(&b.val_f1);
        let scored = cell.runs.iter().rev().max_by(of_run)?;
        let (mean, std) = cell.mean_and_std();
        let network = match cell.arm {
            Arm::Cnn => &study.choice.cnn,
            Arm::Vit => &study.choice.vit,
        };
        Some(Best {
            path: out.join("best"),
            arm: cell.arm,
            network: network.short().to_owned(),
            method: cell.method,
            downstream: cell.downstream,
            seed: scored.seed,
            labels: scored.labels,
            size: study.choice.size,
            classes: scored.predictions.classes.clone(),
            val_f1_macro: cell.val_f1(),
            f1_macro: scored.f1,
            mean,
            std,
            run: scored.folder.clone(),
        })
    }

    /// What it is, in a few words.
    pub fn title(&self) -> String {
        let network = &self.network;
        match (self.method, self.downstream) {
            (method, Downstream::Finetune) if method.pretraining().is_some() => {
                format!("{network}, pretrained on these images, then fine-tuned")
            }
            (method, _) if method.pretraining().is_some() => {
                format!("{network}, pretrained on these images, with a logistic regression")
            }
            (_, Downstream::Finetune) => format!("{network}, trained on the labels alone"),
            _ => format!("{network} as initialised, with a logistic regression"),
        }
    }

    /// Leaves the folder: the run, the files that timm loads, and a card; whole or not at all.
    pub fn write(&self, site: &Site, study: &Study) -> Result<()> {
        let name = self
            .run
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let card = self.path.join("README.md");
        if fs::read_to_string(&card).is_ok_and(|text| text.contains(&name)) {
            return Ok(());
        }
        let [made, exported] = ["best.part", "best.export"].map(|part| site.out.join(part));
        for old in [&made, &exported] {
            if old.exists() {
                fs::remove_dir_all(old)
                    .with_context(|| format!("{} cannot be cleared", old.display()))?;
            }
        }
        if self.run.join(cass_run::names::CHECKPOINT).is_file() {
            copy(&self.run, &made)?;
        } else {
            self.fit_again(site, study, &name, &made)?;
        }
        let mut export = words(&["export", "--run"]);
        export.extend([path(&made), "--out".to_owned(), path(&exported)]);
        let _: (Value, bool) = ask(site.cass, &export)?;
        let failed = || format!("{} cannot be written", self.path.display());
        for file in ["model.safetensors", "config.json"] {
            fs::rename(exported.join(file), made.join(file)).with_context(failed)?;
        }
        fs::remove_dir_all(&exported).with_context(failed)?;
        crate::store::write(&made.join("README.md"), self.card(study, &name).as_bytes())?;
        if self.path.exists() {
            fs::remove_dir_all(&self.path).with_context(failed)?;
        }
        cass_run::rename_whole(&made, &self.path).with_context(failed)
    }

    /// The run again, this time with its network: the same recipe gives the same one.
    fn fit_again(&self, site: &Site, study: &Study, name: &str, to: &Path) -> Result<()> {
        let plan = study.plan();
        let run = plan.runs.iter().find(|run| run.name == name);
        let run = run.with_context(|| format!("{name} is no run of this study"))?;
        let mut command = site.command(run);
        command.retain(|word| word != "--scores-only");
        if let Some(out) = command.iter().position(|word| word == "--out") {
            command[out + 1] = path(to);
        }
        let (metrics, _): (Value, bool) = ask(site.cass, &command[1..])?;
        let f1 = metrics["f1_macro"].as_f64();
        anyhow::ensure!(
            f1.is_some_and(|f1| (f1 - self.f1_macro).abs() < 1e-9),
            "{name} fitted again has a macro F1 of {f1:?}, expected {}: has the program or the machine changed?",
            self.f1_macro
        );
        Ok(())
    }

    /// The model card.
    fn card(&self, study: &Study, name: &str) -> String {
        let choice = study.choice;
        let images = study.images;
        let std = self.std.map_or(String::new(), |std| format!(" ± {std:.3}"));
        let classes = self
            .classes
            .iter()
            .map(|class| format!("`{}`", class.replace('`', "'")));
        format!(
            "# {title}\n\n\
             Chosen by `cass study` as the best of its kind on validation images; test images decided nothing.\n\n\
             | | |\n|---|---|\n\
             | network | `{network}`, {size} x {size} pixels, timm's names |\n\
             | classes, in order of the outputs | {classes} |\n\
             | fitted on | {labels} labelled images of {all}; class weights balanced |\n\
             | macro F1, test images | {f1:.3} (this training); {mean:.3}{std} over {seeds} trainings |\n\
             | macro F1, validation images | {val:.3} (mean) |\n\
             | images | resized to a square by PIL's bilinear filter, normalised as `config.json` says |\n\
             | run | `{name}` |\n\n\
             ## Use\n\n\
             ```sh\n\
             cass predict --run {path} scans/ > predicted.csv\n\
             cass evaluate --run {path} --data folder --data-root other-hospital\n\
             ```\n\n\
             ```python\n\
             timm.create_model(\"local-dir:{path}\", pretrained=True)                  # with the classifier\n\
             timm.create_model(\"local-dir:{path}\", pretrained=True, num_classes=0)   # features\n\
             ```\n\n\
             ## Limits\n\n\
             It was judged on images of the same origin as those it was fitted on{external}. It is a result of research and \
             no medical device; whoever uses it elsewhere has to judge it there (`cass evaluate`).\n",
            title = self.title(),
            network = self.network,
            size = self.size,
            classes = classes.collect::<Vec<_>>().join(", "),
            labels = self.labels,
            all = images.images,
            f1 = self.f1_macro,
            mean = self.mean,
            seeds = choice.seeds,
            val = self.val_f1_macro,
            path = self.path.display(),
            external = if images.test > 0 {
                ", and on the test images that were given"
            } else {
                ""
            },
        )
    }
}

/// The files of a finished run, but for features that it may keep.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = || format!("{} cannot be copied to {}", from.display(), to.display());
    fs::create_dir_all(to).with_context(failed)?;
    for entry in fs::read_dir(from).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let name = entry.file_name();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if entry.file_type().with_context(failed)?.is_file() && !hidden && name != "run.json" {
            fs::copy(entry.path(), to.join(name)).with_context(failed)?;
        }
    }
    Ok(())
}
