//! Which tensors of a file are a network's, whatever stands before their names.

use crate::layouts::{LAYOUTS, registers};
use candle_core::Tensor;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

type Tensors = HashMap<String, Tensor>;

/// A file of weights and how to take it, as `FILE#prefix=teacher.,missing=new`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) file: PathBuf,
    /// What stands before the keys that are wanted; found by itself where it is not given.
    pub(crate) prefix: Option<String>,
    /// Whether parameters that the file lacks stay as they were, instead of being an error.
    pub(crate) missing_is_new: bool,
}

impl Asked {
    /// # Errors
    /// In words, if something else than these is asked.
    pub(crate) fn parse(path: &Path) -> Result<Self, String> {
        let mut asked = Self {
            file: path.to_path_buf(),
            prefix: None,
            missing_is_new: false,
        };
        let text = path.to_string_lossy();
        let Some((file, options)) = text.rsplit_once('#').filter(|_| !path.exists()) else {
            return Ok(asked);
        };
        asked.file = file.into();
        for option in options.split(',') {
            match option.split_once('=') {
                Some(("prefix", prefix)) => asked.prefix = Some(prefix.into()),
                Some(("missing", "new")) => asked.missing_is_new = true,
                _ => {
                    return Err(format!(
                        "#{option}: expected #prefix=TEXT or #missing=new behind the file"
                    ));
                }
            }
        }
        Ok(asked)
    }
}

/// The tensors of a file under a network's names.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) tensors: Tensors,
    /// What stood before their names.
    pub(crate) prefix: String,
    /// Whose names they had, if not timm's.
    pub(crate) layout: Option<&'static str>,
    /// Keys of the file that are of something else.
    pub(crate) left_out: Vec<String>,
}

/// Finds the one prefix under which the file has all that `wanted` names, in timm's names or another
/// project's. A file that has it under none is given as what it has most of, for errors to name the rest.
///
/// # Errors
/// In words, if there are several such prefixes, or nothing under the prefix that was asked for.
pub(crate) fn name(
    found: Tensors,
    wanted: &[String],
    asked: Option<&str>,
) -> Result<Named, String> {
    let mut named = Named {
        tensors: found,
        prefix: String::new(),
        layout: None,
        left_out: Vec::new(),
    };
    if let Some(prefix) = asked {
        named.strip(prefix);
        if named.tensors.is_empty() {
            let examples = examples(&named.left_out);
            return Err(format!("no key begins with {prefix:?}: it has {examples}"));
        }
    }
    let keys = || named.tensors.keys().map(String::as_str);
    let layout = LAYOUTS.iter().find_map(|layout| {
        let prefix = layout.prefix(keys())?;
        Some((layout, prefix.to_string()))
    });
    if let Some((layout, prefix)) = layout {
        let converted = layout.convert(std::mem::take(&mut named.tensors), &prefix, wanted);
        named.tensors = converted.map_err(|e| e.to_string())?;
        named.layout = Some(layout.name);
    } else if asked.is_none() {
        let prefix = best_prefix(&named.tensors, wanted)?;
        named.strip(&prefix);
    }
    if wanted.iter().any(|name| name == "reg_token") {
        registers(&mut named.tensors).map_err(|e| e.to_string())?;
    }
    named.left_out.sort();
    Ok(named)
}

impl Named {
    fn strip(&mut self, prefix: &str) {
        if prefix.is_empty() {
            return;
        }
        self.prefix = prefix.to_string();
        for (key, tensor) in std::mem::take(&mut self.tensors) {
            match key.strip_prefix(prefix) {
                Some(name) => drop(self.tensors.insert(name.into(), tensor)),
                None => self.left_out.push(key),
            }
        }
    }
}

fn best_prefix(found: &Tensors, wanted: &[String]) -> Result<String, String> {
    let mut candidates: HashSet<&str> = HashSet::from([""]);
    // Some may be missing: three names show the prefix as well as all.
    for name in wanted.iter().rev().take(3).chain(wanted.first()) {
        let before = found
            .keys()
            .filter_map(|key| key.strip_suffix(name.as_str()));
        candidates.extend(before.filter(|prefix| prefix.ends_with(['.', '/'])));
    }
    let has = |prefix: &str| {
        let names = wanted.iter().map(|name| format!("{prefix}{name}"));
        names.filter(|key| found.contains_key(key)).count()
    };
    let mut counts: Vec<(usize, &str)> = candidates.into_iter().map(|p| (has(p), p)).collect();
    counts.sort_by_key(|&(count, prefix)| (std::cmp::Reverse(count), prefix.len(), prefix));
    let whole: Vec<&str> = counts
        .iter()
        .filter(|(count, _)| *count == wanted.len())
        .map(|(_, prefix)| *prefix)
        .collect();
    match whole[..] {
        [] => Ok(counts[0].1.to_string()),
        [one] => Ok(one.to_string()),
        // Nothing before the names is what a file for this network has.
        ["", ..] => Ok(String::new()),
        [..] => Err(format!(
            "it has the network under {}: choose one by FILE#prefix=TEXT",
            whole.join(" and ")
        )),
    }
}

/// Keys by what they begin with, `decoder_blocks (96), mask_token`.
pub(crate) struct Groups<'a>(pub(crate) &'a [String]);

impl fmt::Display for Groups<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 8;
        let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
        for key in self.0 {
            *groups
                .entry(key.split('.').next().unwrap_or(key))
                .or_default() += 1;
        }
        for (n, (group, count)) in groups.iter().take(MOST).enumerate() {
            let comma = if n > 0 { ", " } else { "" };
            match count {
                1 => write!(f, "{comma}{group}")?,
                count => write!(f, "{comma}{group} ({count})")?,
            }
        }
        if groups.len() > MOST {
            write!(f, " and {} more", groups.len() - MOST)?;
        }
        Ok(())
    }
}

fn examples(keys: &[String]) -> String {
    let mut keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    keys.sort_unstable();
    keys[..keys.len().min(3)].join(", ")
}

/// First parts of names that change what a backbone computes: they are left out of none that lacks them.
const BACKBONE: [&str; 8] = [
    "cls_token",
    "dist_token",
    "fc_norm",
    "norm_pre",
    "pos_embed",
    "reg_token",
    "rope",
    "storage_tokens",
];

/// Whether a key that the network does not have tells that the file is another network's: it stands
/// next to what the network has, outside its classifier, or is a part that no backbone leaves out.
pub(crate) fn is_foreign(key: &str, parameters: &HashSet<&str>) -> bool {
    let part = key.split('.').next().unwrap_or(key);
    parameters.contains(part) || BACKBONE.contains(&part)
}

/// The constructor arguments that give a Vision Transformer what a file has and it has not.
pub(crate) fn hint(foreign: &[String]) -> Option<&'static str> {
    const PARTS: [(&str, &str); 4] = [
        ("ls1.gamma", "init_values=1e-5"),
        ("norm_pre", "pre_norm=true"),
        ("fc_norm", "global_pool=avg"),
        ("reg_token", "reg_tokens=4,no_embed_class=true"),
    ];
    let has = |part: &str| foreign.iter().any(|key| key.contains(part));
    PARTS
        .iter()
        .find(|(part, _)| has(part))
        .map(|(_, argument)| *argument)
}
