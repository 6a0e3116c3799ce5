//! `report` and `claims`: from run folders alone, of one machine or of several.

use super::outcome::{exit, incomplete, print_results, sort};
use super::setup::{facts_of, order};
use crate::plan::{Downstream, Job, Profile};
use crate::report;
use crate::results::{Results, Source};
use crate::store::{Folder, OfTables};
use crate::table::Book;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Writes the report of the folders again; into the first of them, if not told otherwise.
pub fn report(dirs: &[PathBuf], tables: Option<&str>, out: Option<PathBuf>) -> Result<ExitCode> {
    let results = read(dirs, tables)?;
    let out = out.unwrap_or_else(|| dirs[0].clone());
    report::write(&results, &out)?;
    print_results(&results, &out);
    Ok(exit(incomplete(&results), "cells are incomplete"))
}

/// Prints the verdicts alone.
pub fn claims(dirs: &[PathBuf], tables: Option<&str>, json: bool) -> Result<ExitCode> {
    let results = read(dirs, tables)?;
    if json {
        println!("{}", serde_json::to_string(&results.claims)?);
    } else {
        print!("{}", cass_run::printable_lines(&report::claims(&results)));
    }
    Ok(ExitCode::SUCCESS)
}

fn read(dirs: &[PathBuf], tables: Option<&str>) -> Result<Results> {
    let mut folders = Folder::all(dirs)?;
    // Of two folders of one run the finished one counts, then the later one.
    folders.sort_by_key(|f| (f.metrics.is_err(), std::cmp::Reverse(f.info.started)));
    let mut seen = BTreeSet::new();
    folders.retain(|folder| seen.insert(folder.info.run.name.clone()));
    sort(&mut folders);

    let job_of = |folder: &Folder| {
        let of = folder.info.of.clone();
        of.with_context(|| {
            format!(
                "{} is of no table: it is a run of a study, whose report `cass study` writes",
                folder.path.display()
            )
        })
    };
    let jobs: Vec<OfTables> = folders.iter().map(job_of).collect::<Result<_>>()?;
    let first = jobs[0].clone();
    // How fast a machine was thought to be changes no result.
    let kind = |job: &OfTables| -> Result<String> {
        let mut settings = serde_json::to_value(&job.profile)?;
        if let Some(settings) = settings.as_object_mut() {
            settings.remove("cost");
        }
        Ok(format!(
            "profile {} {settings}, {:?}, {:?}",
            job.profile_name, job.protocol, job.set
        ))
    };
    for (folder, job) in folders.iter().zip(&jobs) {
        let name = |job: &OfTables| {
            format!(
                "profile {}, protocol {}",
                job.profile_name,
                job.protocol.name()
            )
        };
        ensure!(
            kind(job)? == kind(&first)?,
            "the runs cannot be put into one report: {} is of {}, {} of {}{}",
            folders[0].path.display(),
            name(&first),
            folder.path.display(),
            name(job),
            if name(job) == name(&first) {
                " with other settings"
            } else {
                ""
            },
        );
    }
    let profile = Profile {
        name: first.profile_name.clone(),
        ..first.profile.clone()
    };
    let infos = || folders.iter().map(|folder| &folder.info);
    let mut book = Book::load()?;
    let mut numbers: Vec<String> = Vec::new();
    match tables {
        Some(file) if file.ends_with(".toml") => {
            let (with_file, number) = book.with_file(Path::new(file))?;
            book = with_file;
            numbers.push(number);
        }
        Some(tables) => {
            for number in tables.split(',') {
                numbers.push(book.table(number.trim())?.number.clone());
            }
        }
        None => {
            let asked: BTreeSet<&String> = jobs.iter().flat_map(|job| &job.tables).collect();
            for number in asked {
                match book.table(number) {
                    Ok(table) => numbers.push(table.number.clone()),
                    Err(_) => eprintln!(
                        "table {number} is none of the paper's: pass its file with --table"
                    ),
                }
            }
        }
    }
    ensure!(
        !numbers.is_empty(),
        "no table of the paper is in these folders"
    );
    let mut downstream: Vec<Downstream> =
        jobs.iter().flat_map(|job| job.downstream.clone()).collect();
    order(&mut downstream, first.protocol.headline());
    let job = Job {
        tables: book
            .all()
            .filter(|table| numbers.contains(&table.number))
            .collect(),
        book: &book,
        profile: &profile,
        protocol: first.protocol,
        downstream,
        seeds: infos()
            .map(|info| info.run.seed)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        set: first.set.clone(),
        data: facts_of(infos().map(|info| (info.run.data, &info.images, info.started))),
    };
    // What no cell of these tables is read off, such as runs on an earlier state of the images, is left out.
    let needed: BTreeSet<String> = job.plan().runs.into_iter().map(|run| run.name).collect();
    let found = folders.len();
    folders.retain(|folder| needed.contains(&folder.info.run.name));
    if folders.len() < found {
        eprintln!(
            "{} run folders are of no cell of these tables and images",
            found - folders.len()
        );
    }
    Source {
        job: &job,
        folders: &folders,
        failures: &[],
        dirs,
    }
    .gather()
}
