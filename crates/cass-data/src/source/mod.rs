//! Where images and their labels come from: each source lists items, not yet looked into.
//!
//! [`Layout`] knows the layouts on disk that [`crate::dataset`] documents. Anything else that can list
//! its images is a [`Source`] too, or, without a trait, a list of [`Item`]s for
//! [`Dataset::from_items`](crate::dataset::Dataset::from_items).

pub(crate) mod biopsies;
pub(crate) mod brain_mri;
mod choices;
pub(crate) mod csv;
mod dialect;
pub(crate) mod folder;
pub(crate) mod frames;
pub(crate) mod images;
pub(crate) mod isic2019;
mod item;
mod layout;
pub(crate) mod listing;
pub(crate) mod medmnist;
pub(crate) mod named;
pub(crate) mod npz;
pub(crate) mod one_hot;
mod origin;
mod part;
mod recognise;
mod span;
pub(crate) mod table;

pub use choices::{Blank, Choices, Column, Uncertain};
pub use frames::{frames_at, items_in};
pub use item::Item;
pub use layout::Layout;
pub(crate) use layout::locate;
pub use listing::images_at;
pub(crate) use origin::Origin;
pub use part::{Part, Task};
pub use recognise::recognise;

use crate::Result;
use listing::Filter;
use std::path::PathBuf;

/// Something that lists labelled images without looking into them.
pub trait Source {
    /// Name of the data set in messages, such as `folder`.
    fn name(&self) -> &str;

    /// Lists the images.
    ///
    /// # Errors
    /// A layout that is not there, or a table that cannot be read.
    fn find(&self) -> Result<Found>;
}

/// What a [`Source`] lists.
#[derive(Debug, Clone)]
pub struct Found {
    /// The folder that paths in a manifest are relative to.
    pub root: PathBuf,
    /// Class names, in label order.
    pub classes: Vec<String>,
    /// Whether an image has one label or any number.
    pub task: Task,
    /// The images, in an order that is the same everywhere.
    pub items: Vec<Item>,
    /// What is not as it should be.
    pub problems: Vec<Problem>,
    /// What a reader should know of how the layout was read, one sentence each.
    pub notes: Vec<String>,
}

impl Found {
    /// Whether any image has a label.
    pub fn is_labelled(&self) -> bool {
        self.items.iter().any(|item| item.is_labelled(self.task))
    }
}

/// Something in a layout or its tables that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind of thing.
    pub kind: ProblemKind,
    /// The folder, table or image it is about.
    pub path: PathBuf,
    /// What exactly, as the end of a sentence that begins with the path.
    pub detail: String,
}

/// Kinds of [`Problem`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// A row of a table that cannot be used.
    Row,
    /// A label whose image is not there.
    MissingFile,
    /// An image without a label: nothing is lost by going on without it.
    UnlabelledFile,
    /// A class folder that the data set does not have.
    UnknownClass,
    /// A class folder that holds the other classes again.
    Copy,
    /// A single class folder whose folders may be the classes: nothing is lost by going on.
    TooDeep,
}
