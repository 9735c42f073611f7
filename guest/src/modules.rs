// SPDX-License-Identifier: Apache-2.0
//! Kernel modules, in the order that whoever packed the initramfs has worked out.

use crate::failure::{Failure, Kind};
use rustix::io::Errno;
use rustix::system::finit_module;
use std::fs::File;
use std::io;

/// The modules that every guest needs: one absolute path per line, dependencies first.
pub(crate) const LIST: &str = "/lib/modules/avf-modules.list";

/// The list of those that file system `name` needs.
pub(crate) fn list_of(name: &str) -> String {
    format!("/lib/modules/avf-modules-{name}.list")
}

/// Loads what the file `list` names. Without the file the kernel is taken to have all built in.
pub(crate) fn load(list: &str) -> Result<(), Failure> {
    let text = match std::fs::read_to_string(list) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Failure::io(Kind::Runtime, format!("read {list}"), &e)),
    };
    text.lines()
        .filter(|line| !line.is_empty())
        .try_for_each(insert)
}

fn insert(path: &str) -> Result<(), Failure> {
    let failed =
        |e: &dyn std::fmt::Display| Failure::io(Kind::Runtime, format!("load module {path}"), &e);
    let file = File::open(path).map_err(|e| failed(&e))?;
    match finit_module(file, c"", 0) {
        // Loaded already, or a driver of hardware that this machine lacks.
        Ok(()) | Err(Errno::EXIST | Errno::NODEV | Errno::OPNOTSUPP) => Ok(()),
        Err(e) => Err(failed(&e)),
    }
}
