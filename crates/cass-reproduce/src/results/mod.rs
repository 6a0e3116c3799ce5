//! Run folders become results: every number of a report, and what the paper's claims came to.

mod cells;
mod claims;
mod deviations;
mod entries;
mod gather;
mod seen;
mod stats;

pub use claims::{Compared, Judged, Verdict};
pub use entries::{Cell, Pretraining, Results, TableEntry};
pub use gather::Source;
