//! What a job leaves on disk, and nothing else: what is noted before a run, what is found after it, and whether
//! that is still what the run left.
//!
//! Nothing here asks who ran a run, or when: a folder that was copied from another machine is as good as one's own.

mod files;
mod found;
mod intact;
mod log;
mod noted;
mod predicted;
mod stand;
mod summary;

pub use files::write;
pub use found::{Folder, State};
pub use log::{Event, Tail, last_words, log_tail};
pub use noted::{Entry, Info, OfTables, PLAN, folder, write_plan};
pub use predicted::predictions;
pub use stand::{FAILURES, Stand, unfinished, why};
pub use summary::summary;
