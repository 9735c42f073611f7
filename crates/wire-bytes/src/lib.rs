// SPDX-License-Identifier: Apache-2.0
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a table or a value that is wrong fails the test that uses it"
)]

pub mod guest;
pub mod layout;
pub mod methods;
pub mod random;
pub mod reader;
pub mod schema;
pub mod value;
pub mod writer;

mod tables;

pub use layout::Layout;
pub use reader::Reader;
pub use value::Value;
pub use writer::{Message, Writer};
