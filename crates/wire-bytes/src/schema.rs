// SPDX-License-Identifier: Apache-2.0
//! What the tables are made of.

use crate::value::Value;

/// A type of the interface.
#[derive(Debug)]
pub enum Type {
    /// A word, 0 or 1.
    Bool,
    /// A word.
    Int,
    /// Two words.
    Long,
    /// UTF-16 with its length before it and a NUL after it.
    Text,
    /// `byte[64]`.
    Bytes64,
    /// A `ParcelFileDescriptor`.
    Descriptor,
    /// An enum whose numbers are 0 up to, and without, this one.
    Enum(i32),
    /// A count and the elements.
    Array(&'static Self),
    /// A presence word, a size and the fields.
    Parcelable(&'static Parcelable),
    /// A presence word, a tag and the value of the tag's field.
    Union(&'static Union),
    /// A binder object.
    Binder,
    /// What may be null.
    Nullable(&'static Self),
}

/// A parcelable: its fields in the order of the wire.
#[derive(Debug)]
pub struct Parcelable {
    /// Its name in the interface.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
}

/// A union: its fields in the order of their tags.
#[derive(Debug)]
pub struct Union {
    /// Its name in the interface.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
}

/// A field of a parcelable or a union.
#[derive(Debug)]
pub struct Field {
    /// Its name in the interface.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// What a client sends that does not set it.
    pub default: Default,
}

/// The default of a field.
#[derive(Debug, Clone, Copy)]
pub enum Default {
    /// False, 0, null or empty.
    Zero,
    /// True.
    True,
    /// This number.
    Number(i32),
    /// This text.
    Text(&'static str),
}

impl Field {
    /// What a client sends that does not set the field.
    #[must_use]
    pub fn default_value(&self) -> Value {
        match self.default {
            Default::Zero => self.ty.zero(),
            Default::True => Value::Bool(true),
            Default::Number(number) => Value::Int(number),
            Default::Text(text) => Value::Text(text.to_owned()),
        }
    }
}

impl Type {
    /// False, 0, null or empty. A descriptor that must not be null is the caller's number 0.
    #[must_use]
    pub fn zero(&self) -> Value {
        match self {
            Self::Bool => Value::Bool(false),
            Self::Int | Self::Enum(_) => Value::Int(0),
            Self::Long => Value::Long(0),
            Self::Text => Value::Text(String::new()),
            Self::Bytes64 => Value::Bytes(vec![0; 64]),
            Self::Descriptor => Value::Descriptor(0),
            Self::Array(_) => Value::Array(Vec::new()),
            Self::Parcelable(parcelable) => {
                Value::Parcelable(parcelable.fields.iter().map(Field::default_value).collect())
            }
            Self::Union(union) => Value::Union(0, Box::new(union.fields[0].default_value())),
            Self::Binder | Self::Nullable(_) => Value::Null,
        }
    }

    /// Whether `value`, written as this type, means to a reader of `other` what it means to a reader
    /// of this one: the same fields with the same names, as far as `value` reaches.
    #[must_use]
    pub fn reads_alike(&self, other: &Self, value: &Value) -> bool {
        match (self, other, value) {
            (Self::Nullable(a), Self::Nullable(b), value) => {
                value == &Value::Null || a.reads_alike(b, value)
            }
            (Self::Array(a), Self::Array(b), Value::Array(elements)) => {
                elements.iter().all(|element| a.reads_alike(b, element))
            }
            (Self::Parcelable(a), Self::Parcelable(b), Value::Parcelable(values)) => {
                let mut pairs = a.fields.iter().zip(b.fields).zip(values);
                a.fields.len() == b.fields.len()
                    && pairs
                        .all(|((a, b), value)| a.name == b.name && a.ty.reads_alike(&b.ty, value))
            }
            (Self::Union(a), Self::Union(b), Value::Union(tag, value)) => {
                let field = |union: &'static Union| union.fields.get(*tag);
                match (field(a), field(b)) {
                    (Some(a), Some(b)) => a.name == b.name && a.ty.reads_alike(&b.ty, value),
                    _ => false,
                }
            }
            (Self::Enum(_), Self::Enum(end), Value::Int(number)) => number < end,
            (a, b, _) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }
}
