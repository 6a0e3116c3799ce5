//! Fields of recipes that had other names or places once.

use toml::{Table, Value};

/// Where fields of recipes were before these had tables `[data]` and `[method]`: a key of the recipe
/// itself, and the table and the key in it that it is now.
const MOVED: [(&str, [&str; 2]); 7] = [
    ("data", ["data", "name"]),
    ("data_root", ["data", "root"]),
    ("val_fraction", ["data", "val_fraction"]),
    ("fraction", ["data", "fraction"]),
    ("skip_bad", ["data", "skip_bad"]),
    ("method", ["method", "name"]),
    ("guard", ["method", "guard"]),
];
/// A table that a recipe had for one method's settings, and the one that they are in now.
const MOVED_TABLE: (&str, &str) = ("dino", "method");

/// Whether a table of today is a key of the recipe's own.
pub(crate) fn is_flat(recipe: &Table) -> bool {
    let flat = |(key, [table, _]): &(&str, [&str; 2])| {
        key == table && recipe.get(*key).is_some_and(Value::is_str)
    };
    MOVED.iter().any(flat)
}

/// The recipe with its tables, in whichever form it was written.
pub(crate) fn nested(mut recipe: Table) -> Table {
    for (key, [table, _]) in MOVED {
        if key != table || !recipe.get(key).is_some_and(Value::is_str) {
            continue;
        }
        let fields = MOVED.iter().filter(|(_, [of, _])| *of == table);
        let moved = fields.filter_map(|(key, [_, field])| {
            let value = recipe.remove(*key)?;
            Some((field.to_string(), value))
        });
        let mut moved: Table = moved.collect();
        if let (from, true) = (MOVED_TABLE.0, MOVED_TABLE.1 == table)
            && let Some(Value::Table(fields)) = recipe.remove(from)
        {
            moved.extend(fields);
        }
        recipe.insert(table.into(), Value::Table(moved));
    }
    recipe
}

/// The path of a field of `recipe`, whichever way it is called, as it is today.
pub(crate) fn path_today<'a>(path: &'a str, recipe: &Table) -> Vec<&'a str> {
    let keys: Vec<&str> = path.split('.').collect();
    let has = |table: &str| recipe.get(table).is_some_and(Value::is_table);
    if let [key] = keys[..]
        && let Some((_, [table, field])) = MOVED.iter().find(|(moved, _)| *moved == key)
        && has(table)
    {
        return vec![table, field];
    }
    let (from, to) = MOVED_TABLE;
    match keys[..] {
        [table, field] if table == from && has(to) => vec![to, field],
        _ => keys,
    }
}
