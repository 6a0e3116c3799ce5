//! How a job that has ended is told of.

use crate::plan::Run;
use crate::report;
use crate::results::Results;
use crate::store::Folder;
use std::path::Path;
use std::process::ExitCode;

pub fn print_results(results: &Results, out: &Path) {
    print!("{}", cass_run::printable_lines(&report::summary(results)));
    println!("\n{}", out.join("report.html").display());
}

pub fn incomplete(results: &Results) -> usize {
    results
        .cells
        .iter()
        .filter(|cell| !cell.missing.is_empty())
        .count()
}

pub fn exit(lost: usize, what: &str) -> ExitCode {
    if lost == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {lost} {what}; the report says which and why");
    ExitCode::FAILURE
}

/// The order of a report, however its runs came together.
pub fn sort(folders: &mut [Folder]) {
    let key = |run: &Run| {
        (
            run.seed,
            run.kind,
            run.data,
            run.method,
            run.networks.keys().copied().collect::<Vec<_>>(),
            run.variant.clone(),
            run.percent,
            run.downstream,
            run.name.clone(),
        )
    };
    folders.sort_by_cached_key(|folder| key(&folder.info.run));
}
