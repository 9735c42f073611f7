// SPDX-License-Identifier: Apache-2.0
//! From the words of a parcel back to a value. Only what a right writer writes is read.

use crate::layout::Layout;
use crate::schema::Type;
use crate::value::Value;

/// Reads values from words.
#[derive(Debug)]
pub struct Reader<'a> {
    words: &'a [i32],
    at: usize,
    descriptors: i32,
}

/// Why words are not what they should be, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The place of the word.
    pub at: usize,
    /// What is wrong.
    pub why: &'static str,
}

impl<'a> Reader<'a> {
    /// Reads `words` from their start.
    #[must_use]
    pub fn new(words: &'a [i32]) -> Self {
        Self {
            words,
            at: 0,
            descriptors: 0,
        }
    }

    /// createVm's arguments in `layout`, and nothing after them: the config and the descriptors.
    ///
    /// # Errors
    /// Where they are not what a client of that release writes.
    pub fn create_vm(mut self, layout: Layout) -> Result<(Value, Vec<Value>), Fault> {
        let config = self.read(&Type::Union(layout.config()))?;
        let file = Type::Nullable(&Type::Descriptor);
        let files = (0..layout.files()).map(|_| self.read(&file));
        let files = files.collect::<Result<_, _>>()?;
        if self.rest().is_empty() {
            Ok((config, files))
        } else {
            self.fault("words are left")
        }
    }

    /// The words that are left.
    #[must_use]
    pub fn rest(&self) -> &'a [i32] {
        self.words.get(self.at..).unwrap_or_default()
    }

    /// The next word.
    ///
    /// # Panics
    /// If there is none.
    pub fn word(&mut self) -> i32 {
        self.next().unwrap_or_else(|fault| panic!("{fault:?}"))
    }

    /// Reads a `ty`. Descriptors are numbered from 0.
    ///
    /// # Panics
    /// If the words are not one.
    pub fn value(&mut self, ty: &Type) -> Value {
        let words = self.words;
        self.read(ty)
            .unwrap_or_else(|fault| panic!("{fault:?} in {words:?}"))
    }

    /// Reads a `ty`. Descriptors are numbered from 0.
    ///
    /// # Errors
    /// Where the words are not one.
    pub fn read(&mut self, ty: &Type) -> Result<Value, Fault> {
        Ok(match ty {
            Type::Bool => Value::Bool(self.below(2)? == 1),
            Type::Int => Value::Int(self.next()?),
            Type::Long => {
                let (low, high) = (self.next()?, self.next()?);
                Value::Long(i64::from(high) << 32 | i64::from(low.cast_unsigned()))
            }
            Type::Enum(end) => Value::Int(self.below(*end)?),
            Type::Text => Value::Text(self.text()?),
            Type::Bytes64 => {
                self.expect(64, "a fixed array has a wrong length")?;
                let words = (0..16).map(|_| self.next());
                let words = words.collect::<Result<Vec<_>, _>>()?;
                Value::Bytes(words.into_iter().flat_map(i32::to_le_bytes).collect())
            }
            Type::Descriptor => {
                for word in [1, 0, 2, self.descriptors] {
                    self.expect(word, "not the next descriptor")?;
                }
                self.descriptors += 1;
                Value::Descriptor(usize::try_from(self.descriptors - 1).unwrap_or_default())
            }
            Type::Array(ty) => {
                let count = self.count()?;
                let elements = (0..count).map(|_| self.read(ty));
                Value::Array(elements.collect::<Result<_, _>>()?)
            }
            Type::Parcelable(parcelable) => {
                self.expect(1, "a parcelable is null")?;
                let start = self.at;
                let size = self.next()?;
                let fields = parcelable.fields.iter();
                let values = fields.map(|field| self.read(&field.ty));
                let values = values.collect::<Result<_, _>>()?;
                if usize::try_from(size) != Ok(4 * (self.at - start)) {
                    self.at = start;
                    return self.fault("a parcelable has another size than its fields");
                }
                Value::Parcelable(values)
            }
            Type::Union(union) => {
                self.expect(1, "a union is null")?;
                let end = i32::try_from(union.fields.len()).unwrap_or_default();
                let tag = usize::try_from(self.below(end)?).unwrap_or_default();
                Value::union(tag, self.read(&union.fields[tag].ty)?)
            }
            Type::Binder => {
                self.expect(1, "a binder is null")?;
                let words = [self.next()?, self.next()?, self.next()?];
                Value::Binder(words)
            }
            Type::Nullable(ty) => self.nullable(ty)?,
        })
    }

    fn nullable(&mut self, ty: &Type) -> Result<Value, Fault> {
        let null = match ty {
            Type::Text | Type::Array(_) => -1,
            _ => 0,
        };
        if self.words.get(self.at) != Some(&null) {
            return self.read(ty);
        }
        self.at += 1;
        if matches!(ty, Type::Binder) {
            self.expect(0, "no object has a stability")?;
        }
        Ok(Value::Null)
    }

    fn next(&mut self) -> Result<i32, Fault> {
        let Some(word) = self.words.get(self.at) else {
            return self.fault("the words end");
        };
        self.at += 1;
        Ok(*word)
    }

    fn expect(&mut self, expected: i32, why: &'static str) -> Result<(), Fault> {
        if self.next()? == expected {
            Ok(())
        } else {
            self.fault(why)
        }
    }

    fn below(&mut self, end: i32) -> Result<i32, Fault> {
        let word = self.next()?;
        if (0..end).contains(&word) {
            Ok(word)
        } else {
            self.fault("a number is out of its range")
        }
    }

    fn count(&mut self) -> Result<usize, Fault> {
        let count = usize::try_from(self.next()?).unwrap_or(usize::MAX);
        if count <= self.rest().len() {
            Ok(count)
        } else {
            self.fault("there are not as many elements")
        }
    }

    fn text(&mut self) -> Result<String, Fault> {
        let length = usize::try_from(self.next()?).unwrap_or(usize::MAX);
        let words = length / 2 + 1;
        let Some(text) = self.rest().get(..words) else {
            return self.fault("a text ends early");
        };
        self.at += words;
        let halves = text.iter().flat_map(|word| {
            let [a, b, c, d] = word.to_le_bytes();
            [u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])]
        });
        let units: Vec<u16> = halves.collect();
        let (text, end) = units.split_at(length);
        if text.contains(&0) || end.iter().any(|unit| *unit != 0) {
            return self.fault("a text has NULs elsewhere than at its end");
        }
        String::from_utf16(text).or_else(|_| self.fault("a text is not UTF-16"))
    }

    fn fault<T>(&self, why: &'static str) -> Result<T, Fault> {
        Err(Fault { at: self.at, why })
    }
}
