//! What images are for, and what their labels are.

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// For training.
    Train,
    /// For early stopping and choices.
    Val,
    /// For testing only.
    Test,
}

impl Part {
    /// `train`, `val` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

/// What the labels of a data set are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Every image is of exactly one class.
    MultiClass,
    /// An image is of any number of classes.
    MultiLabel,
}

impl Task {
    /// `multi-class` or `multi-label`.
    pub fn name(self) -> &'static str {
        match self {
            Self::MultiClass => "multi-class",
            Self::MultiLabel => "multi-label",
        }
    }
}
