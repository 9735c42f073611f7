// SPDX-License-Identifier: Apache-2.0
//! The names of all properties in an area. The library that reads values does not list them.
//!
//! A file of the area is a header of 128 bytes and a tree: each node stands for one part of a name
//! (`ro`, `ro.build`, ...), has two neighbours and a first child, and may have a property. All
//! references are offsets from the end of the header; 0 is none.

use crate::error::{PropertyWatcherError as Error, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The header: its size, and the two numbers that tell a file of the area.
const HEADER: usize = 128;
const MAGIC: (usize, u32) = (8, 0x504f_5250);
const VERSION: (usize, u32) = (12, 0xfc6e_d0ab);
/// Offsets in a node. Its name's length, at 0, is not needed.
const PROPERTY: usize = 4;
const LEFT: usize = 8;
const RIGHT: usize = 12;
const CHILDREN: usize = 16;
/// In a property, its whole name follows the change counter and 92 bytes of value.
const NAME: usize = 96;
/// The largest file that is read. Those of Android have 128 KiB.
const LARGEST: u64 = 16 << 20;

/// The names in all files of the area in `directory` that this process may read.
pub(crate) fn names(directory: &Path) -> Result<Vec<String>> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::ReadFailed { path, source }
    };
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory).map_err(failed(directory))? {
        let path = entry.map_err(failed(directory))?.path();
        let is_file =
            fs::symlink_metadata(&path).is_ok_and(|file| file.is_file() && file.len() <= LARGEST);
        // SELinux keeps most properties from most programs: those are not listed.
        let Some(bytes) = is_file.then(|| fs::read(&path).ok()).flatten() else {
            continue;
        };
        // `property_info` beside them has another format.
        if number(&bytes, MAGIC.0) == Some(MAGIC.1) && number(&bytes, VERSION.0) == Some(VERSION.1)
        {
            collect(&bytes[HEADER.min(bytes.len())..], &mut found)
                .ok_or_else(|| Error::Damaged(path))?;
        }
    }
    Ok(found.into_iter().collect())
}

/// Adds the names in the tree that begins at `data`; none if a reference leads out of it.
fn collect(data: &[u8], found: &mut BTreeSet<String>) -> Option<()> {
    let mut open = vec![0];
    // A damaged tree may have circles.
    let mut steps = data.len();
    while let Some(node) = open.pop() {
        steps = steps.checked_sub(1)?;
        for field in [LEFT, RIGHT, CHILDREN] {
            match reference(data, node + field)? {
                0 => {}
                next => open.push(next),
            }
        }
        match reference(data, node + PROPERTY)? {
            0 => {}
            property => {
                let name = data.get(property.checked_add(NAME)?..)?;
                let end = name.iter().position(|byte| *byte == 0)?;
                found.insert(str::from_utf8(&name[..end]).ok()?.to_owned());
            }
        }
    }
    Some(())
}

fn reference(data: &[u8], at: usize) -> Option<usize> {
    usize::try_from(number(data, at)?).ok()
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(field.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_trees_are_errors_and_end() {
        let mut found = BTreeSet::new();
        assert_eq!(collect(&[], &mut found), None);
        // A node that is its own left neighbour and child.
        let mut circle = vec![0; 400];
        circle[24..28].copy_from_slice(&20u32.to_ne_bytes());
        circle[8..12].copy_from_slice(&16u32.to_ne_bytes());
        circle[28..32].copy_from_slice(&16u32.to_ne_bytes());
        assert_eq!(collect(&circle, &mut found), None);
        let mut outside = vec![0; 20];
        outside[4..8].copy_from_slice(&4000u32.to_ne_bytes());
        assert_eq!(collect(&outside, &mut found), None);
        assert!(found.is_empty());
    }
}
