// SPDX-License-Identifier: Apache-2.0
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod apex;
mod check;
mod error;
mod executable;
mod fault;
mod list;
mod parse;
mod partition;
mod root;
mod unique;

pub use check::{Report, check_all};
pub use error::{Error, XmlFault};
pub use executable::ClientExecutable;
pub use fault::{Fault, Location};
pub use list::{EarlyVm, EarlyVms};
pub use partition::Partition;

/// The largest list that is read, in bytes. A range has 100 CIDs, so a useful list is far smaller.
pub const MAX_LIST_LEN: u64 = 64 * 1024;

/// The longest name of a VM, in bytes: the limit of createVm.
pub const MAX_NAME_LEN: usize = 255;

/// The most lists that are read from one directory.
pub const MAX_LISTS: usize = 64;
