//! What is made of the values of a pickle: storages, tensors, and their names.

use super::{DEEPEST, Id, MOST_ENTRIES, Machine, Storage, Strided, Value};

impl Machine<'_> {
    /// What a call gives that builds a tensor or a dictionary; nothing else is called.
    pub(super) fn call(&self, callee: Id, arguments: Id) -> Value {
        let (Value::Global(module, name), Value::Tuple(arguments)) =
            (&self.values[callee], &self.values[arguments])
        else {
            return Value::Thing;
        };
        match (module.as_str(), name.as_str()) {
            ("collections", "OrderedDict" | "defaultdict") => Value::Dict(Vec::new()),
            ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => {
                self.tensor(arguments).map_or(Value::Thing, Value::Tensor)
            }
            ("torch._utils", "_rebuild_parameter") => match arguments.first() {
                Some(&id) => self.values[id].clone(),
                None => Value::Thing,
            },
            _ => Value::Thing,
        }
    }

    fn tensor(&self, arguments: &[Id]) -> Option<Strided> {
        let &[storage, offset, sizes, strides, ..] = arguments else {
            return None;
        };
        let Value::Storage(storage) = &self.values[storage] else {
            return None;
        };
        Some(Strided {
            storage: storage.clone(),
            offset: self.size(offset)?,
            sizes: self.sizes(sizes)?,
            strides: self.sizes(strides)?,
        })
    }

    fn size(&self, id: Id) -> Option<usize> {
        match self.values[id] {
            Value::Int(size) => usize::try_from(size).ok(),
            _ => None,
        }
    }

    fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        match &self.values[id] {
            Value::Tuple(items) | Value::List(items) => {
                items.iter().map(|&id| self.size(id)).collect()
            }
            _ => None,
        }
    }

    /// `("storage", class, key, device, count)`
    pub(super) fn storage(&self, id: Id) -> Result<Value, String> {
        let fields = match &self.values[id] {
            Value::Tuple(items) => items.as_slice(),
            _ => &[],
        };
        let field = |n: usize| fields.get(n).map(|&id| &self.values[id]);
        match (field(0), field(1), field(2), fields.get(4)) {
            (
                Some(Value::Text(kind)),
                Some(Value::Global(_, class)),
                Some(Value::Text(key)),
                Some(&count),
            ) if kind == "storage" => Ok(Value::Storage(Storage {
                class: class.clone(),
                key: key.clone(),
                count: self.size(count).ok_or("a storage without a size")?,
            })),
            _ => Err("the pickle refers to something outside it that is no storage".into()),
        }
    }

    pub(super) fn collect(
        &self,
        id: Id,
        path: &str,
        depth: usize,
        entries: &mut usize,
        found: &mut Vec<(String, Strided)>,
    ) -> Result<(), String> {
        match &self.values[id] {
            Value::Tensor(tensor) => found.push((path.into(), tensor.clone())),
            Value::Dict(items) if depth < DEEPEST => {
                for &(key, value) in items {
                    *entries += 1;
                    if *entries > MOST_ENTRIES {
                        return Err(format!("more than {MOST_ENTRIES} entries"));
                    }
                    if let Value::Text(key) = &self.values[key] {
                        let path = match path {
                            "" => key.clone(),
                            path => format!("{path}.{key}"),
                        };
                        self.collect(value, &path, depth + 1, entries, found)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
