// SPDX-License-Identifier: Apache-2.0
//! From a value to the bytes of a parcel that goes over RPC binder.

use crate::layout::Layout;
use crate::schema::{Parcelable, Type};
use crate::value::Value;

/// What a word of a message is, for those who change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Whether an object follows: 0 or 1.
    Presence,
    /// The size of a parcelable, with this word.
    Size,
    /// The number of elements of an array or bytes, -1 for null.
    Count,
    /// The number of UTF-16 units of a text, -1 for null.
    Length,
    /// The tag of a union.
    Tag,
    /// A boolean.
    Bool,
    /// The number of an enum.
    Enum,
    /// A descriptor's second word: whether it has a second descriptor.
    HasComm,
    /// The type of an object: 2 for descriptors.
    Object,
    /// A descriptor's index in the message.
    Index,
}

/// The arguments of a call.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// The parcel's bytes, without the interface token.
    pub bytes: Vec<u8>,
    /// The caller's numbers of its descriptors, in the order of their indices.
    pub descriptors: Vec<usize>,
    /// Where each descriptor's type word is: the message's object table.
    pub objects: Vec<usize>,
    /// What some of the words are, by their offsets.
    pub marks: Vec<(usize, Mark)>,
}

/// A part of a message, for those whose binder library writes descriptors itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes, in words.
    Bytes(&'a [u8]),
    /// A `ParcelFileDescriptor` of four words: the caller's number.
    Descriptor(usize),
}

/// Bytes from a descriptor's presence word to its end.
const DESCRIPTOR_SIZE: usize = 16;
/// Bytes from a descriptor's presence word to its type word.
const DESCRIPTOR_TYPE: usize = 8;

impl Message {
    /// The parts, in order.
    #[must_use]
    pub fn pieces(&self) -> Vec<Piece<'_>> {
        let mut pieces = Vec::new();
        let mut from = 0;
        for (at, number) in self.objects.iter().zip(&self.descriptors) {
            let start = at - DESCRIPTOR_TYPE;
            pieces.push(Piece::Bytes(&self.bytes[from..start]));
            pieces.push(Piece::Descriptor(*number));
            from = start + DESCRIPTOR_SIZE;
        }
        pieces.push(Piece::Bytes(&self.bytes[from..]));
        pieces
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> Vec<i32> {
        words(&self.bytes)
    }
}

/// Little-endian words.
#[must_use]
pub fn words(bytes: &[u8]) -> Vec<i32> {
    let (words, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty(), "{} bytes are not whole words", bytes.len());
    words.iter().copied().map(i32::from_le_bytes).collect()
}

/// A field that no release has.
#[derive(Debug, Clone, Copy)]
pub struct Insertion<'a> {
    /// The parcelable that gets it.
    pub parcelable: &'a str,
    /// The field before which it is; after the last one if empty.
    pub before: &'a str,
    /// Its words.
    pub words: &'a [i32],
}

/// Writes values.
#[derive(Debug, Default)]
pub struct Writer<'a> {
    message: Message,
    insertion: Option<Insertion<'a>>,
}

impl<'a> Writer<'a> {
    /// Puts a field that no release has into each parcelable of that name.
    #[must_use]
    pub fn with(mut self, insertion: Insertion<'a>) -> Self {
        self.insertion = Some(insertion);
        self
    }

    /// The message so far.
    #[must_use]
    pub fn finish(self) -> Message {
        self.message
    }

    /// Writes createVm's arguments.
    ///
    /// # Panics
    /// If the values do not suit the layout.
    #[must_use]
    pub fn create_vm(mut self, layout: Layout, config: &Value, files: &[Value]) -> Message {
        assert_eq!(
            files.len(),
            layout.files(),
            "descriptors of {}",
            layout.name()
        );
        self.value(&Type::Union(layout.config()), config);
        for file in files {
            self.value(&Type::Nullable(&Type::Descriptor), file);
        }
        self.finish()
    }

    /// Writes `value` as a `ty`.
    ///
    /// # Panics
    /// If it is not one.
    pub fn value(&mut self, ty: &Type, value: &Value) {
        match (ty, value) {
            (Type::Nullable(ty), Value::Null) => self.null(ty),
            (Type::Nullable(ty), value) => self.value(ty, value),
            (Type::Bool, Value::Bool(is_set)) => self.marked(Mark::Bool, i32::from(*is_set)),
            (Type::Int, Value::Int(number)) => self.word(*number),
            (Type::Enum(end), Value::Int(number)) => {
                assert!((0..*end).contains(number), "{number} is not of the enum");
                self.marked(Mark::Enum, *number);
            }
            (Type::Long, Value::Long(number)) => {
                self.message.bytes.extend(number.to_le_bytes());
            }
            (Type::Text, Value::Text(text)) => self.text(text),
            (Type::Bytes64, Value::Bytes(bytes)) => {
                assert_eq!(bytes.len(), 64, "byte[64]");
                self.marked(Mark::Count, 64);
                self.message.bytes.extend(bytes);
            }
            (Type::Binder, Value::Binder(words)) => {
                self.marked(Mark::Presence, 1);
                words.iter().for_each(|word| self.word(*word));
            }
            (Type::Descriptor, Value::Descriptor(number)) => self.descriptor(*number),
            (Type::Array(ty), Value::Array(elements)) => {
                self.marked(Mark::Count, number(elements.len()));
                for element in elements {
                    self.value(ty, element);
                }
            }
            (Type::Parcelable(parcelable), Value::Parcelable(values)) => {
                self.parcelable(parcelable, values);
            }
            (Type::Union(union), Value::Union(tag, value)) => {
                self.marked(Mark::Presence, 1);
                self.marked(Mark::Tag, number(*tag));
                self.value(&union.fields[*tag].ty, value);
            }
            (ty, value) => panic!("{value:?} is not a {ty:?}"),
        }
    }

    /// Writes a word.
    pub fn word(&mut self, word: i32) {
        self.message.bytes.extend(word.to_le_bytes());
    }

    fn marked(&mut self, mark: Mark, word: i32) {
        self.message.marks.push((self.message.bytes.len(), mark));
        self.word(word);
    }

    fn null(&mut self, ty: &Type) {
        match ty {
            Type::Text => self.marked(Mark::Length, -1),
            Type::Array(_) => self.marked(Mark::Count, -1),
            Type::Binder => {
                self.marked(Mark::Presence, 0);
                // The stability of no object: UNDECLARED.
                self.word(0);
            }
            Type::Descriptor | Type::Parcelable(_) | Type::Union(_) => {
                self.marked(Mark::Presence, 0);
            }
            other => panic!("a {other:?} cannot be null"),
        }
    }

    fn text(&mut self, text: &str) {
        let units: Vec<u16> = text.encode_utf16().collect();
        self.marked(Mark::Length, number(units.len()));
        let bytes = &mut self.message.bytes;
        bytes.extend(units.iter().chain(&[0]).flat_map(|unit| unit.to_le_bytes()));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }

    fn descriptor(&mut self, caller: usize) {
        self.marked(Mark::Presence, 1);
        self.marked(Mark::HasComm, 0);
        self.message.objects.push(self.message.bytes.len());
        self.marked(Mark::Object, 2);
        self.marked(Mark::Index, number(self.message.descriptors.len()));
        self.message.descriptors.push(caller);
    }

    fn parcelable(&mut self, parcelable: &Parcelable, values: &[Value]) {
        assert_eq!(parcelable.fields.len(), values.len(), "{}", parcelable.name);
        self.marked(Mark::Presence, 1);
        let start = self.message.bytes.len();
        self.marked(Mark::Size, 0);
        for (field, value) in parcelable.fields.iter().zip(values) {
            self.insert(parcelable, field.name);
            self.value(&field.ty, value);
        }
        self.insert(parcelable, "");
        let size = number(self.message.bytes.len() - start);
        self.message.bytes[start..start + 4].copy_from_slice(&size.to_le_bytes());
    }

    fn insert(&mut self, parcelable: &Parcelable, before: &str) {
        if let Some(insertion) = self.insertion
            && insertion.parcelable == parcelable.name
            && insertion.before == before
        {
            insertion.words.iter().for_each(|word| self.word(*word));
        }
    }
}

fn number(count: usize) -> i32 {
    i32::try_from(count).expect("a message is not that long")
}
