//! What a job leaves on disk, and nothing else: what is noted before a run, what is found after it, and the seal that
//! tells whether it is still the same.
//!
//! Nothing here asks who ran a run, or when: a folder that was copied from another machine is as good as one's own.

mod files;
mod found;
mod log;
mod metrics;
mod noted;
mod seal;
mod stand;

pub use files::{read_json, write};
pub use found::{Folder, State};
pub use log::{Event, Tail, last_words, log_tail};
pub use metrics::{BeforeAfter, Metrics, PretrainEpoch, ProbeMetrics, Reading, Skipped};
pub use noted::{Entry, Info, PLAN, folder, write_plan};
pub use seal::hash;
pub use stand::{FAILURES, Stand, unfinished, why};
