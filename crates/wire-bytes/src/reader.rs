// SPDX-License-Identifier: Apache-2.0
//! From the words of a parcel back to a value.

use crate::schema::Type;
use crate::value::Value;

/// Reads values from words, and panics where they are not what a right writer writes.
#[derive(Debug)]
pub struct Reader<'a> {
    words: &'a [i32],
    at: usize,
    descriptors: usize,
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

    /// The words that are left.
    #[must_use]
    pub fn rest(&self) -> &'a [i32] {
        &self.words[self.at..]
    }

    /// The next word.
    ///
    /// # Panics
    /// If there is none.
    pub fn word(&mut self) -> i32 {
        let word = self.words.get(self.at);
        self.at += 1;
        *word.unwrap_or_else(|| panic!("{} words end early", self.words.len()))
    }

    /// Reads a `ty`. Descriptors are numbered from 0.
    ///
    /// # Panics
    /// If the words are not one.
    pub fn value(&mut self, ty: &Type) -> Value {
        match ty {
            Type::Bool => Value::Bool(self.below(2) == 1),
            Type::Int => Value::Int(self.word()),
            Type::Long => {
                let (low, high) = (self.word(), self.word());
                Value::Long(i64::from(high) << 32 | i64::from(low.cast_unsigned()))
            }
            Type::Enum(end) => Value::Int(self.below(*end)),
            Type::Text => Value::Text(self.text()),
            Type::Bytes64 => {
                assert_eq!(self.word(), 64, "byte[64]");
                Value::Bytes((0..16).flat_map(|_| self.word().to_le_bytes()).collect())
            }
            Type::Descriptor => {
                let words = [self.word(), self.word(), self.word(), self.word()];
                let number = i32::try_from(self.descriptors).expect("few descriptors");
                assert_eq!(words, [1, 0, 2, number]);
                self.descriptors += 1;
                Value::Descriptor(self.descriptors - 1)
            }
            Type::Array(ty) => {
                let count = self.word();
                Value::Array((0..count).map(|_| self.value(ty)).collect())
            }
            Type::Parcelable(parcelable) => {
                assert_eq!(self.word(), 1, "{}", parcelable.name);
                let start = self.at;
                let size = usize::try_from(self.word()).expect("a size");
                let fields = parcelable.fields.iter();
                let values = fields.map(|field| self.value(&field.ty)).collect();
                assert_eq!(size, 4 * (self.at - start), "size of {}", parcelable.name);
                Value::Parcelable(values)
            }
            Type::Union(union) => {
                assert_eq!(self.word(), 1, "{}", union.name);
                let tag = usize::try_from(self.word()).expect("a tag");
                Value::union(tag, self.value(&union.fields[tag].ty))
            }
            Type::Binder => panic!("a binder exists in a session only"),
            Type::Nullable(ty) => self.nullable(ty),
        }
    }

    fn nullable(&mut self, ty: &Type) -> Value {
        let null = match ty {
            Type::Text | Type::Array(_) => -1,
            _ => 0,
        };
        if self.words.get(self.at) != Some(&null) {
            return self.value(ty);
        }
        self.at += 1;
        if matches!(ty, Type::Binder) {
            assert_eq!(self.word(), 0, "the stability of no object");
        }
        Value::Null
    }

    fn below(&mut self, end: i32) -> i32 {
        let word = self.word();
        assert!((0..end).contains(&word), "{word} is not below {end}");
        word
    }

    fn text(&mut self) -> String {
        let length = usize::try_from(self.word()).expect("a length");
        let units: Vec<u16> = (0..=length / 2)
            .flat_map(|_| self.word().to_le_bytes())
            .collect::<Vec<_>>()
            .chunks_exact(2)
            .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
            .collect();
        let (text, end) = units.split_at(length);
        assert!(end.iter().all(|unit| *unit == 0), "a text ends in NULs");
        String::from_utf16(text).expect("UTF-16")
    }
}
