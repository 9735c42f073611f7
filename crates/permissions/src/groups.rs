// SPDX-License-Identifier: Apache-2.0
//! Names of groups and users, out of the files of `group(5)` and `passwd(5)`.
//!
//! The programs are linked statically, where the C library's look-up would load its plug-ins at run
//! time; so only the files are known here.

use std::path::Path;

/// The number of the group `name`: that number, if the name is one, or what `{root}/etc/group` says.
#[must_use]
pub fn group(root: &Path, name: &str) -> Option<u32> {
    name.parse()
        .ok()
        .or_else(|| number(&root.join("etc/group"), name))
}

/// The name of the user `uid` in `{root}/etc/passwd`.
pub(crate) fn user(root: &Path, uid: u32) -> Option<String> {
    let text = std::fs::read_to_string(root.join("etc/passwd")).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

fn number(file: &Path, name: &str) -> Option<u32> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        fields.nth(1)?.parse().ok()
    })
}
