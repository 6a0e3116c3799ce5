//! `cass study`: does pretraining help on one's own images, and which file is to be used?
//!
//! Data flows one way here, too:
//!
//! | module | holds |
//! |---|---|
//! | `args` | what was asked for |
//! | `cass` | asking the `cass` program |
//! | `rows` | that table, in the making |
//! | `images` | any folder and labels become one table, which all runs read |
//! | `budget` | networks, size, epochs and seeds that fit the time: pure |
//! | `plan` | these become runs: pure |
//! | `found` | what finished runs measured and predicted |
//! | `verdict` | what may be said of it: pure |
//! | `best` | the network to use, as a folder of its own |
//! | `report` | page, text, tables and figures of all that |
//! | `job` | brings it together |

mod args;
mod best;
mod budget;
mod cass;
mod found;
mod images;
mod job;
mod plan;
mod report;
mod rows;
mod verdict;

pub use args::Args;
pub use job::study;
