//! The paper's tables, from images to a report: which runs they take, who runs them, what came out.
//!
//! The crate links no tensor library. It starts `cass` for every run and reads what that wrote, so the same code serves
//! `cass reproduce`, `cargo xtask reproduce` and the small program of this crate, on a laptop and on a cluster's login
//! node.
//!
//! Data flows one way, and each module knows those above it alone:
//!
//! | module | holds |
//! |---|---|
//! | `networks` | the networks that tables and profiles may name |
//! | `table` | the paper's tables: cells, printed numbers, claims |
//! | `plan` | table, profile, seeds and images become runs: pure |
//! | `store` | run folders: what is noted before a run, what is found after it, whether it was changed |
//! | `images` | the data sets on disk, and phantoms drawn in their place |
//! | `executor` | brings a plan to its end, here or on a Slurm cluster |
//! | `results` | run folders become cells, verdicts and deviations |
//! | `report` | results become pages and tables, and nothing else |
//! | `command` | the command line over all of it |
//! | `study` | the same for one's own images: its own plan and report, with the executors and the store of tables |
//!
//! A program offers the commands by flattening [`Command`] into its own:
//!
//! ```
//! use cass_reproduce::{Command, Device, Host};
//! use clap::Parser;
//!
//! #[derive(Parser)]
//! struct Cli {
//!     #[command(subcommand)]
//!     command: Command,
//! }
//!
//! let cli = Cli::parse_from(["mine", "plan", "--table", "3", "--profile", "paper"]);
//! let host = Host {
//!     caller: "mine",
//!     base: std::env::current_dir()?,
//!     cass: &|_: &Device| Ok("cass".into()),
//!     commit: &|| None,
//! };
//! cli.command.run(&host)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(missing_docs)]

mod command;
mod executor;
mod images;
mod machine;
mod networks;
mod plan;
mod report;
mod results;
mod store;
mod study;
mod table;
mod units;

pub use command::{Command, Host, JobArgs, PlanArgs, ReproduceArgs, StatusArgs, failed, wrong};
pub use machine::{Device, Provenance, cores};
pub use networks::check as check_networks;
pub use study::{Args as StudyArgs, study};
pub use table::pretrainings;
pub use units::duration;

/// Reads the text of a table file, for a fuzzer: whatever it is, this returns.
#[doc(hidden)]
pub fn read_any_table(text: &str) {
    let book = table::Book::load();
    if let (Ok(table), Ok(book)) = (table::Table::parse(text), book) {
        let _ = book.check(&table);
    }
}
