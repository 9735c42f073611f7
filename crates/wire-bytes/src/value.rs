// SPDX-License-Identifier: Apache-2.0
//! Values of the interface, without their types.

/// A value. What it looks like on the wire depends on its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number, or that of an enum.
    Int(i32),
    /// A long number.
    Long(i64),
    /// A text.
    Text(String),
    /// Bytes of a fixed number.
    Bytes(Vec<u8>),
    /// The caller's number of a descriptor. Its index on the wire follows from its place.
    Descriptor(usize),
    /// A binder object of a session: its address and its stability.
    Binder([i32; 3]),
    /// Elements.
    Array(Vec<Self>),
    /// The values of the fields, in order.
    Parcelable(Vec<Self>),
    /// A tag, and the value of its field.
    Union(usize, Box<Self>),
}

impl Value {
    /// A text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// The field of a union.
    #[must_use]
    pub fn union(tag: usize, value: Self) -> Self {
        Self::Union(tag, Box::new(value))
    }
}
