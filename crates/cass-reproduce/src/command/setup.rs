//! What a job is asked to do, on the command line.

use super::host::Host;
use crate::images::Data;
use crate::machine::Device;
use crate::plan::{DefaultDownstream, Downstream, Facts, Job, Profile, Protocol};
use crate::table::{Book, DataSet, Table};
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What to reproduce, of which images, at what scale: shared by `reproduce` and `plan`.
#[derive(clap::Args)]
pub struct JobArgs {
    /// Number of the table, several with commas between, all, or a table file of one's own.
    // Required, and still absent where `cass reproduce` is given another command.
    #[arg(long, required = true)]
    table: Option<String>,
    /// Scale: auto, demo (phantoms, minutes), small (real images on a CPU), paper (the paper's settings) or a
    /// profile file of one's own. auto takes demo without a data root, small with one but no GPU, paper with both.
    #[arg(long, default_value = "auto")]
    profile: String,
    /// The paper's text, or what its published notebooks do.
    #[arg(long, value_enum, default_value = "paper")]
    protocol: Protocol,
    /// What is trained on the labels, several with commas between. On frozen features: linear (the paper's
    /// classifier), logistic (regression, to its optimum), knn (nothing). finetune: all parameters
    /// [default: as the profile says].
    #[arg(long, value_enum, value_delimiter = ',')]
    downstream: Vec<Which>,
    /// A setting of every pretraining's recipe, as `--set` of `cass pretrain`; may be given several times.
    #[arg(long, value_name = "FIELD=VALUE", value_parser = assignment)]
    set: Vec<String>,
    /// Folder that holds the data sets as brain-mri, isic2019 and biopsies, or the one that is needed.
    #[arg(long, value_name = "DIR")]
    data_root: Option<PathBuf>,
    /// Results, report and runs go here [default: runs/PROFILE, shared by all tables].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Number of seeds [default: as the profile says].
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
pub enum Which {
    Linear,
    Logistic,
    Knn,
    Finetune,
    #[value(alias = "both")]
    All,
}

/// The arguments, understood.
pub struct Setup {
    book: Book,
    numbers: Vec<String>,
    pub profile: Profile,
    pub protocol: Protocol,
    downstream: Vec<Downstream>,
    seeds: Vec<u64>,
    set: Vec<String>,
    pub data: BTreeMap<DataSet, Data>,
    pub out: PathBuf,
}

/// What stands for the images where there are none.
#[derive(Clone, Copy, PartialEq)]
pub enum Images {
    /// The images themselves are needed.
    Real,
    /// The paper's numbers of them do, for an estimate.
    Counted,
}

impl Setup {
    pub fn new(args: &JobArgs, device: &Device, images: Images, host: &Host) -> Result<Setup> {
        let mut book = Book::load()?;
        let profile = choose_profile(args, device, images)?;
        let table = args.table.as_deref().unwrap_or_default();
        let numbers = if table.ends_with(".toml") {
            let (with_file, number) = book.with_file(Path::new(table))?;
            book = with_file;
            vec![number]
        } else {
            numbers(&book, table, &profile)?
        };
        let out = args
            .out
            .clone()
            .unwrap_or_else(|| default_out(host, &profile, args.protocol));
        let tables: Vec<&Table> = numbers
            .iter()
            .map(|n| book.table(n))
            .collect::<Result<_>>()?;
        let mut data = BTreeMap::new();
        for set in Job::data_sets(&book, &tables) {
            data.insert(set, find_images(args, set, &profile, &out, images)?);
        }
        let first = args.protocol.first_seed();
        let seeds = args.seeds.unwrap_or(profile.seeds);
        Ok(Setup {
            downstream: downstreams(&args.downstream, &profile, args.protocol),
            seeds: (first..first + seeds).collect(),
            set: args.set.clone(),
            protocol: args.protocol,
            book,
            numbers,
            profile,
            data,
            out,
        })
    }

    pub fn job(&self) -> Result<Job<'_>> {
        Ok(Job {
            tables: self
                .numbers
                .iter()
                .map(|number| self.book.table(number))
                .collect::<Result<_>>()?,
            book: &self.book,
            profile: &self.profile,
            protocol: self.protocol,
            downstream: self.downstream.clone(),
            seeds: self.seeds.clone(),
            set: self.set.clone(),
            data: self
                .data
                .iter()
                .map(|(set, data)| (*set, data.facts.clone()))
                .collect(),
        })
    }
}

fn assignment(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((field, _)) if !field.is_empty() => Ok(text.to_owned()),
        _ => Err("expected FIELD=VALUE".to_owned()),
    }
}

/// `all`, `3`, `3,4`: each once, in the paper's order.
fn numbers(book: &Book, text: &str, profile: &Profile) -> Result<Vec<String>> {
    if text == "all" {
        return Ok(if profile.tables.is_empty() {
            book.paper().map(|table| table.number.clone()).collect()
        } else {
            profile.tables.clone()
        });
    }
    let asked: Vec<&Table> = text
        .split(',')
        .map(|number| book.table(number.trim()))
        .collect::<Result<_>>()?;
    let asked = |table: &&Table| asked.iter().any(|other| other.number == table.number);
    Ok(book
        .paper()
        .filter(asked)
        .map(|table| table.number.clone())
        .collect())
}

fn choose_profile(args: &JobArgs, device: &Device, images: Images) -> Result<Profile> {
    Profile::find(match args.profile.as_str() {
        "auto" if images == Images::Counted => "paper",
        "auto" => match (&args.data_root, device.is_gpu()) {
            (None, _) => "demo",
            (Some(_), false) => "small",
            (Some(_), true) => "paper",
        },
        name => name,
    })
}

fn find_images(
    args: &JobArgs,
    set: DataSet,
    profile: &Profile,
    out: &Path,
    images: Images,
) -> Result<Data> {
    match (profile.phantom.get(&set), &args.data_root) {
        (Some(phantom), None) => Ok(Data::phantom(set, phantom, out)),
        (None, Some(root)) => Data::files(set, root),
        (Some(_), Some(_)) => bail!(
            "profile {} draws its images: leave out --data-root",
            profile.name
        ),
        (None, None) if images == Images::Counted => Ok(Data::counted(set)),
        (None, None) => bail!(
            "profile {} needs images: pass --data-root DIR with {set}: {}",
            profile.name,
            set.layout()
        ),
    }
}

/// The headline first.
fn downstreams(asked: &[Which], profile: &Profile, protocol: Protocol) -> Vec<Downstream> {
    use Downstream::{Finetune, Knn, Linear, Logistic};
    let headline = protocol.headline();
    let of = |which: &Which| match which {
        Which::Linear => vec![Linear],
        Which::Logistic => vec![Logistic],
        Which::Knn => vec![Knn],
        Which::Finetune => vec![Finetune],
        Which::All => vec![Linear, Logistic, Knn, Finetune],
    };
    let mut downstream: Vec<Downstream> = asked.iter().flat_map(of).collect();
    if asked.is_empty() {
        downstream = match profile.downstream {
            DefaultDownstream::All => of(&Which::All),
            DefaultDownstream::Headline => vec![headline, Logistic, Knn],
        };
    }
    order(&mut downstream, headline);
    downstream
}

/// Each once, the headline first.
pub fn order(downstream: &mut Vec<Downstream>, headline: Downstream) {
    downstream.sort_by_key(|one| (*one != headline, *one));
    downstream.dedup();
}

fn default_out(host: &Host, profile: &Profile, protocol: Protocol) -> PathBuf {
    let suffix = match protocol {
        Protocol::Paper => "",
        Protocol::Notebook => "-notebook",
    };
    host.out(&format!("{}{suffix}", profile.name))
}

/// The job that run folders are of, made out from what was noted in them.
pub fn facts_of<'a>(
    infos: impl Iterator<Item = (DataSet, &'a Facts, u64)>,
) -> BTreeMap<DataSet, Facts> {
    // Of several states of a data set the one of the latest run counts.
    let mut latest: BTreeMap<DataSet, (u64, &Facts)> = BTreeMap::new();
    for (set, facts, started) in infos {
        let entry = latest.entry(set).or_insert((started, facts));
        if started > entry.0 {
            *entry = (started, facts);
        }
    }
    latest
        .into_iter()
        .map(|(set, (_, facts))| (set, facts.clone()))
        .collect()
}
