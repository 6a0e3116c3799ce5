//! The instructions of a pickle, one after the other.

use super::{Id, MOST_STEPS, Machine, Value};

impl Machine<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let end = self.at.checked_add(count);
        let bytes = end.and_then(|end| self.pickle.get(self.at..end));
        let bytes = bytes.ok_or("the pickle ends in the middle")?;
        self.at += count;
        Ok(bytes)
    }

    /// A little-endian number of up to eight bytes.
    fn number(&mut self, bytes: usize) -> Result<usize, String> {
        let mut number = [0; 8];
        number[..bytes].copy_from_slice(self.take(bytes)?);
        usize::try_from(u64::from_le_bytes(number)).map_err(|e| e.to_string())
    }

    fn text(&mut self, length: usize) -> Result<String, String> {
        let text = std::str::from_utf8(self.take(length)?);
        text.map(String::from)
            .map_err(|_| "a text that is not UTF-8".into())
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = self.pickle.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|&b| b == b'\n');
        let line = self.text(length.ok_or("the pickle ends in the middle")?)?;
        self.at += 1;
        Ok(line)
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Result<Id, String> {
        self.stack
            .pop()
            .ok_or_else(|| "the pickle takes more than it gave".into())
    }

    /// What was pushed since the last mark, which goes too.
    fn since_mark(&mut self) -> Result<Vec<Id>, String> {
        let is_mark = |id: &Id| matches!(self.values[*id], Value::Mark);
        let mark = self.stack.iter().rposition(is_mark);
        let mark = mark.ok_or("the pickle looks for a mark that is not there")?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn last(&mut self) -> Result<&mut Value, String> {
        let id = self.top()?;
        Ok(&mut self.values[id])
    }

    fn top(&self) -> Result<Id, String> {
        let top = self.stack.last().copied();
        top.ok_or_else(|| "the pickle takes more than it gave".into())
    }

    fn tuple(&mut self, count: usize) -> Result<(), String> {
        let start = self.stack.len().checked_sub(count);
        let items = self
            .stack
            .split_off(start.ok_or("the pickle takes more than it gave")?);
        self.push(Value::Tuple(items));
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), String> {
        if let Value::Dict(entries) = self.last()? {
            entries.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        }
        Ok(())
    }

    /// Until the pickle stops; gives what it leaves.
    pub(super) fn run(&mut self) -> Result<Id, String> {
        for _ in 0..MOST_STEPS {
            let code = self.take(1)?[0];
            match code {
                0x80 => drop(self.take(1)?),
                0x95 => drop(self.take(8)?), // a frame
                b'.' => return self.pop(),
                b'(' => self.push(Value::Mark),
                b'0' => drop(self.pop()?),
                b'1' => drop(self.since_mark()?),
                b'2' => {
                    let id = self.pop()?;
                    self.stack.extend([id, id]);
                }
                b'N' | 0x8f => self.push(Value::Thing),
                0x88 => self.push(Value::Int(1)),
                0x89 => self.push(Value::Int(0)),
                b'J' => {
                    let number = self.number(4)? as u32 as i32;
                    self.push(Value::Int(number.into()));
                }
                b'K' => {
                    let number = self.number(1)?;
                    self.push(Value::Int(number as i64));
                }
                b'M' => {
                    let number = self.number(2)?;
                    self.push(Value::Int(number as i64));
                }
                0x8a | 0x8b => {
                    let length = self.number(if code == 0x8a { 1 } else { 4 })?;
                    let value = long(self.take(length)?);
                    self.push(value);
                }
                b'G' => {
                    self.take(8)?;
                    self.push(Value::Thing);
                }
                b'X' | 0x8c | 0x8d => {
                    let length = self.number(match code {
                        b'X' => 4,
                        0x8c => 1,
                        _ => 8,
                    })?;
                    let text = self.text(length)?;
                    self.push(Value::Text(text));
                }
                // Bytes, and the texts of Python 2.
                b'B' | b'C' | 0x8e | 0x96 | b'T' | b'U' => {
                    let length = self.number(match code {
                        b'B' | b'T' => 4,
                        b'C' | b'U' => 1,
                        _ => 8,
                    })?;
                    self.take(length)?;
                    self.push(Value::Thing);
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push(Value::Global(module, name));
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let value = match (&self.values[module], &self.values[name]) {
                        (Value::Text(module), Value::Text(name)) => {
                            Value::Global(module.clone(), name.clone())
                        }
                        _ => Value::Thing,
                    };
                    self.push(value);
                }
                b')' => self.push(Value::Tuple(Vec::new())),
                0x85 => self.tuple(1)?,
                0x86 => self.tuple(2)?,
                0x87 => self.tuple(3)?,
                b't' => {
                    let items = self.since_mark()?;
                    self.push(Value::Tuple(items));
                }
                b']' => self.push(Value::List(Vec::new())),
                b'l' => {
                    let items = self.since_mark()?;
                    self.push(Value::List(items));
                }
                b'a' => {
                    let item = self.pop()?;
                    if let Value::List(items) = self.last()? {
                        items.push(item);
                    }
                }
                b'e' => {
                    let more = self.since_mark()?;
                    if let Value::List(items) = self.last()? {
                        items.extend(more);
                    }
                }
                0x90 => drop(self.since_mark()?), // into a set
                0x91 => {
                    self.since_mark()?;
                    self.push(Value::Thing);
                }
                b'}' => self.push(Value::Dict(Vec::new())),
                b'd' => {
                    let items = self.since_mark()?;
                    self.push(Value::Dict(Vec::new()));
                    self.set_items(&items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set_items(&[key, value])?;
                }
                b'u' => {
                    let items = self.since_mark()?;
                    self.set_items(&items)?;
                }
                b'q' | b'r' => {
                    let at = self.number(if code == b'q' { 1 } else { 4 })?;
                    self.memo.insert(at, self.top()?);
                }
                0x94 => {
                    self.memo.insert(self.memo.len(), self.top()?);
                }
                b'h' | b'j' => {
                    let at = self.number(if code == b'h' { 1 } else { 4 })?;
                    let id = self.memo.get(&at).copied();
                    self.stack
                        .push(id.ok_or("the pickle recalls what it did not keep")?);
                }
                b'Q' => {
                    let id = self.pop()?;
                    let value = self.storage(id)?;
                    self.push(value);
                }
                b'R' | 0x81 => {
                    let (arguments, callee) = (self.pop()?, self.pop()?);
                    let value = self.call(callee, arguments);
                    self.push(value);
                }
                0x92 => {
                    self.stack.truncate(self.stack.len().saturating_sub(3));
                    self.push(Value::Thing);
                }
                b'b' => drop(self.pop()?), // the state of what nobody looks into
                other => return Err(format!("the pickle has an instruction {other:#04x}")),
            }
        }
        Err(format!(
            "the pickle has more than {MOST_STEPS} instructions"
        ))
    }
}

/// A number of any length; one that is too long for anything here is a thing.
fn long(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::Thing;
    }
    let fill = match bytes.last() {
        Some(last) if last & 0x80 != 0 => 0xff,
        _ => 0,
    };
    let mut number = [fill; 8];
    number[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(number))
}
