// SPDX-License-Identifier: Apache-2.0
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod apex;
mod check;
mod error;
mod executable;
mod list;
mod parse;
mod partition;
mod place;
mod root;
mod unique;
mod xml;

pub use check::{Report, check_all};
pub use error::{Error, XmlFault};
pub use executable::ClientExecutable;
pub use list::{EarlyVm, EarlyVms};
pub use partition::Partition;
pub use place::{Fault, Place};

/// The largest list that is read, in bytes. A range has 100 CIDs, so a useful list is far smaller.
pub const MAX_LIST_LEN: u64 = 64 * 1024;

/// The most lists that are read from one directory.
pub const MAX_LISTS: usize = 64;
