#![doc = include_str!("../README.md")]

mod assign;
mod collapse;
mod differ;
mod error;
mod event;
mod file;
mod finished;
mod folder;
mod foreign;
mod grown;
mod hash;
mod limits;
mod lock;
mod metrics;
mod moved;
pub mod names;
mod printable;
mod provenance;
mod recipe;
mod schema;
mod suggest;
mod sums;
mod whole;

pub use assign::assign;
pub use collapse::{BeforeAfter, Collapse, Views};
pub use error::{Action, Error, Result};
pub use event::{PretrainEvent, ProbeEvent, WALL_CLOCK, When};
pub use file::{LARGEST_TEXT, open_regular, read_bounded, read_json, read_text};
pub use finished::Finished;
pub use folder::{RunDir, Start};
pub use grown::{Grown, Log};
pub use hash::{Hasher, sha256, sha256_of};
pub use limits::{check_field, check_numbers, expect_memory};
pub use lock::{FolderLock, Owner, RunLock, is_in_use};
pub use metrics::{
    Bounds, ClassScores, Common, Metrics, Neighbours, NeighboursTried, Origin, Penalty,
    PenaltyTried, PretrainEpoch, PretrainMetrics, ProbeEpoch, ProbeMetrics, ProbeReadings, Scores,
    Skipped, Tuned,
};
pub use printable::{for_spreadsheet, from_spreadsheet, printable, printable_lines};
pub use provenance::{Attempt, Provenance};
pub use recipe::{deviations, fields, first_difference, from_toml, to_toml};
pub use schema::SCHEMA;
pub use sums::{FileSum, FileSums, expect_intact};
pub use whole::{make_unsynced, make_whole, put_whole, rename_whole, write_whole};

/// The environment variable under which a process stops, as on SIGTERM, when its standard input ends: set by who
/// starts it and holds the other end.
pub const ENDS_WITH_STDIN: &str = "CASS_ENDS_WITH_STDIN";
