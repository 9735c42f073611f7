// SPDX-License-Identifier: Apache-2.0
//! The contract's tables, typed out for each layout.

pub(crate) mod app;
pub(crate) mod parts;
pub(crate) mod raw;

use crate::schema::Type;

pub(crate) const TEXT_OR_NULL: Type = Type::Nullable(&Type::Text);
pub(crate) const TEXTS: Type = Type::Array(&Type::Text);
pub(crate) const FD_OR_NULL: Type = Type::Nullable(&Type::Descriptor);
pub(crate) const FDS: Type = Type::Array(&Type::Descriptor);

macro_rules! default {
    () => {
        $crate::schema::Default::Zero
    };
    ($default:expr) => {
        $default
    };
}

macro_rules! fields {
    ($($name:ident: $ty:expr $(; $default:expr)?),* $(,)?) => {
        &[$($crate::schema::Field {
            name: stringify!($name),
            ty: $ty,
            default: default!($($default)?),
        }),*]
    };
}

macro_rules! parcelable {
    ($static:ident $name:ident { $($fields:tt)* }) => {
        pub(crate) static $static: $crate::schema::Parcelable = $crate::schema::Parcelable {
            name: stringify!($name),
            fields: fields!($($fields)*),
        };
    };
}

macro_rules! union {
    ($static:ident $name:ident { $($fields:tt)* }) => {
        pub(crate) static $static: $crate::schema::Union = $crate::schema::Union {
            name: stringify!($name),
            fields: fields!($($fields)*),
        };
    };
}

pub(crate) use {default, fields, parcelable, union};
