//! What a pickle of tensors says, without running anything it asks for.
//!
//! Calls are noted, not made: those that build tensors and dictionaries are understood, and whatever else
//! a checkpoint holds (arguments of its training, random states) becomes a thing that nobody looks into.
//! Values stand in one list and name each other by their place, so that neither depth nor sharing costs
//! more than the file is long.

mod built;
mod machine;

use std::collections::HashMap;

/// Instructions, and values that they make.
const MOST_STEPS: usize = 20_000_000;
/// Dictionaries inside each other that are looked through for tensors.
const DEEPEST: usize = 5;
/// Entries of dictionaries that are looked through.
const MOST_ENTRIES: usize = 1_000_000;

/// A place in the list of values.
type Id = usize;

#[derive(Debug, Clone)]
enum Value {
    /// `None`, floats, bytes, sets, calls of anything unknown.
    Thing,
    Mark,
    Int(i64),
    Text(String),
    Global(String, String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Storage(Storage),
    Tensor(Strided),
}

/// A block of numbers that lies next to the pickle in a file of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Storage {
    /// torch's class of it, `FloatStorage`.
    pub(super) class: String,
    /// Its file's name.
    pub(super) key: String,
    /// How many there are.
    pub(super) count: usize,
}

/// A tensor as a view of its storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Strided {
    pub(super) storage: Storage,
    pub(super) offset: usize,
    pub(super) sizes: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// The tensors of the pickled dictionary, those of dictionaries inside it behind the outer key and a dot.
pub(super) fn tensors(pickle: &[u8]) -> Result<Vec<(String, Strided)>, String> {
    let mut machine = Machine {
        pickle,
        at: 0,
        values: Vec::new(),
        stack: Vec::new(),
        memo: HashMap::new(),
    };
    let root = machine.run()?;
    let mut found = Vec::new();
    let mut entries = 0;
    machine.collect(root, "", 0, &mut entries, &mut found)?;
    Ok(found)
}

struct Machine<'a> {
    pickle: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    memo: HashMap<usize, Id>,
}
