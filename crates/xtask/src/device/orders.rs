// SPDX-License-Identifier: Apache-2.0
//! Orders for the device's init: files in its initramfs; see `guest/src/device/mod.rs`.

use crate::initrd::Archive;
use crate::workspace::Workspace;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The variables of the caller that the command gets.
const KEPT: [&str; 6] = ["PATH", "HOME", "TERM", "LANG", "USER", "CROSVM"];
/// The beginnings of further ones.
const KEPT_GROUPS: [&str; 4] = ["AVF", "CARGO", "RUST", "VIRTMGR"];
/// The search path if the caller has none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) struct Orders {
    files: [(&'static str, Vec<u8>); 4],
}

impl Orders {
    /// Orders to run `command` in the top of the source tree of `workspace`.
    pub(super) fn new(command: &str, workspace: &Workspace, modules: &Path) -> Result<Self> {
        ensure!(
            !command.contains('\0'),
            "a command for the device cannot have a NUL byte"
        );
        let text = |path: &Path| {
            let text = path.to_str();
            text.map(|text| text.as_bytes().to_vec())
                .with_context(|| format!("{}: the device needs a path of UTF-8", path.display()))
        };
        Ok(Self {
            files: [
                ("command", command.as_bytes().to_vec()),
                ("directory", text(&workspace.root)?),
                ("modules", text(modules)?),
                ("environment", environment(workspace)),
            ],
        })
    }

    pub(super) fn add_to(self, archive: &mut Archive) {
        for (name, content) in self.files {
            archive.file(&format!("device/{name}"), content);
        }
    }
}

/// The command's environment: `NAME=VALUE`, separated by NUL.
fn environment(workspace: &Workspace) -> Vec<u8> {
    let mut variables: BTreeMap<_, _> = std::env::vars_os()
        .filter(|(name, _)| is_kept(&name.to_string_lossy()))
        .collect();
    let default = |variables: &mut BTreeMap<_, _>, name: &str, value: std::ffi::OsString| {
        variables.entry(name.into()).or_insert(value);
    };
    default(&mut variables, "PATH", PATH.into());
    default(&mut variables, "VIRTMGR_DIST", workspace.dist().into());
    let mut bytes = Vec::new();
    for (name, value) in variables {
        bytes.extend(name.as_bytes());
        bytes.push(b'=');
        bytes.extend(value.as_bytes());
        bytes.push(0);
    }
    bytes
}

fn is_kept(name: &str) -> bool {
    KEPT.contains(&name) || KEPT_GROUPS.iter().any(|group| name.starts_with(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_gets_what_concerns_it() {
        for kept in ["PATH", "CROSVM", "VIRTMGR_LOG", "RUST_BACKTRACE"] {
            assert!(is_kept(kept), "{kept}");
        }
        for left in ["PATH_INFO", "SSH_AUTH_SOCK", "LD_PRELOAD", "XCARGO"] {
            assert!(!is_kept(left), "{left}");
        }
    }
}
