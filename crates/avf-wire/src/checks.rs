// SPDX-License-Identifier: Apache-2.0
//! Reading without a session, for tests and fuzzers.

use crate::read::{self, NoObjects};
use crate::release::layout;
use crate::{CreateVm, Release, Stop};

/// Reads the words of `createVm`'s arguments as a client of `release` writes them; descriptors are
/// left out. None if that release is not built in.
#[must_use]
pub fn read(words: &[u32], release: Release) -> Option<Result<CreateVm, Stop>> {
    let layout = layout(release)?;
    Some(read::create_vm(words, layout, &mut NoObjects).0)
}
