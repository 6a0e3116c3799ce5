//! The layouts on disk, by name.

use super::{
    Choices, Filter, Found, Source, biopsies, brain_mri, csv, folder, frames, images, isic2019,
    medmnist, named,
};
use crate::{Error, Result};
use regex::Regex;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A data set on disk, in one of the layouts that [`crate::dataset`] lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// Name of the layout, such as `folder`.
    pub name: String,
    /// The folder that holds the data set, or its parent, in which it has the layout's name.
    pub root: PathBuf,
    /// How it is to be read where its form leaves that open.
    pub choices: Choices,
}

impl Layout {
    /// The names there are.
    pub const NAMES: [&str; 11] = [
        brain_mri::NAME,
        isic2019::NAME,
        biopsies::NAME,
        folder::NAME,
        csv::NAME,
        medmnist::NAME,
        images::NAME,
        named::ISIC2018,
        named::ISIC2020,
        named::ISIC2024,
        named::DERMOFIT,
    ];

    /// The layout of this name at `root`.
    pub fn new(name: impl Into<String>, root: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            root: root.into(),
            choices: Choices::default(),
        }
    }
}

impl Source for Layout {
    fn name(&self) -> &str {
        &self.name
    }

    fn find(&self) -> Result<Found> {
        let mut found = self.at(&self.root)?;
        for root in &self.choices.more {
            merge(&mut found, self.at(root)?)?;
        }
        self.refine(&mut found)?;
        if found.items.is_empty() && found.problems.is_empty() {
            return Err(Error::NoImages { root: found.root });
        }
        Ok(found)
    }
}

impl Layout {
    fn at(&self, root: &Path) -> Result<Found> {
        match self.name.as_str() {
            brain_mri::NAME => brain_mri::find(root),
            isic2019::NAME => isic2019::find(root),
            biopsies::NAME => biopsies::find(root),
            folder::NAME => folder::find(root, &self.choices),
            csv::NAME => csv::find(root, &self.choices),
            medmnist::NAME => medmnist::find(root),
            images::NAME => images::find(root, &self.choices),
            name => named::find(name, root, &self.choices).unwrap_or_else(|| {
                Err(Error::UnknownDataset {
                    name: name.to_owned(),
                    known: Self::NAMES.join(", "),
                })
            }),
        }
    }

    /// Leaves out what is excluded, and groups by the files' names where that is asked for.
    fn refine(&self, found: &mut Found) -> Result<()> {
        let Choices {
            exclude, group_by, ..
        } = &self.choices;
        let own = self.root.join(&self.name);
        let roots = [&found.root, &self.root, &own].into_iter();
        let roots = roots.chain(&self.choices.more).chain(&self.choices.images);
        let filter = Filter::new(exclude)?.below(roots);
        found.items.retain(|item| filter.keeps(&item.path));
        found.problems.retain(|problem| filter.keeps(&problem.path));
        if let Some(pattern) = group_by.as_deref().filter(|by| *by != "none") {
            group(found, pattern)?;
        }
        if let Some(reading) = &self.choices.every_frame {
            frames::divide(found, reading);
        }
        Ok(())
    }
}

/// Groups images by what the first group of a regular expression, or the whole of one without
/// groups, matches in their files' names or else in their paths below the root.
pub(super) fn group(found: &mut Found, pattern: &str) -> Result<()> {
    let wrong = |expected| Error::Setting {
        name: "group_by",
        value: format!("{pattern:?}"),
        expected,
    };
    let regex = Regex::new(pattern)
        .map_err(|_| wrong("a regular expression such as '^(p[0-9]+)_', or none"))?;
    let root = &found.root;
    let (mut groups, mut without) = (BTreeSet::new(), 0);
    for item in &mut found.items {
        let below = item.path.strip_prefix(root).unwrap_or(&item.path);
        let below: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
        let file = below.last().cloned().unwrap_or_default();
        let below = below.join("/");
        let matched = regex.captures(&file).or_else(|| regex.captures(&below));
        let matched = matched.and_then(|m| m.get(1).or(m.get(0)));
        item.group = matched.map(|group| group.as_str().to_owned());
        match &item.group {
            Some(group) => drop(groups.insert(group.clone())),
            None => without += 1,
        }
    }
    if groups.is_empty() && !found.items.is_empty() {
        return Err(wrong("one that fits the names of the images"));
    }
    let mut note = format!("{} groups by {pattern:?}", groups.len());
    if without > 0 {
        note += &format!("; {without} images fit it not and are groups by themselves");
    }
    found.notes.push(note);
    Ok(())
}

/// Adds what was found under another root.
fn merge(found: &mut Found, more: Found) -> Result<()> {
    if more.is_labelled() && found.is_labelled() && found.classes != more.classes {
        return Err(Error::Classes {
            root: more.root,
            classes: more.classes.join(", "),
            expected: found.classes.join(", "),
        });
    }
    if found.classes.is_empty() {
        found.classes = more.classes;
        found.task = more.task;
    }
    // Manifests have whole paths then, as no folder holds both.
    let common: PathBuf = (found.root.iter().zip(more.root.iter()))
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a)
        .collect();
    found.root = common;
    found.items.extend(more.items);
    found.problems.extend(more.problems);
    found.notes.extend(more.notes);
    Ok(())
}

/// The first of `data_root` and its folder `name` for which `holds`.
pub(crate) fn locate(
    data_root: &Path,
    name: &'static str,
    expected: &str,
    holds: impl Fn(&Path) -> bool,
) -> Result<PathBuf> {
    let inside = data_root.join(name);
    if holds(data_root) {
        return Ok(data_root.to_owned());
    }
    if holds(&inside) {
        return Ok(inside);
    }
    let looked = if data_root.exists() {
        format!("{} and {}", data_root.display(), inside.display())
    } else {
        format!("{}, which is no folder", data_root.display())
    };
    Err(Error::Layout {
        name,
        expected: expected.to_owned(),
        looked,
    })
}
