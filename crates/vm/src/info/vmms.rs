// SPDX-License-Identifier: Apache-2.0
//! The VMMs that there are, and the managers.

use super::Fact;
use crate::manager::vmm_finder;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use vmm::crosvm::Abilities;
use vmm::find::Program;

pub(super) fn vmm() -> Fact {
    const HINT: &str =
        "install it (Debian: apt install qemu-system-x86), or name it in VIRTMGR_VMM";
    match vmm_finder().vmm() {
        Err(e) => Fact::lacking("vmm", "VMM", e.to_string(), HINT),
        Ok(found) => {
            let path = found.program.path().display();
            match vmm::version(&found.program) {
                Ok(version) => Fact::there("vmm", "VMM", format!("{path}: {version}")),
                Err(e) => Fact::lacking("vmm", "VMM", format!("{path} has no version: {e}"), HINT),
            }
        }
    }
}

/// Every VMM that there is, with its version and what its build can do. None if there is none.
pub(super) fn all() -> Option<Fact> {
    let found = vmm_finder().all();
    let described: Vec<(String, Value)> = found.iter().map(describe).collect();
    let lines: Vec<&str> = described.iter().map(|(line, _)| line.as_str()).collect();
    let mut fact = Fact::value("vmms", "VMMs found", lines.join("\n"));
    fact.details = Some(described.iter().map(|(_, json)| json.clone()).collect());
    (!found.is_empty()).then_some(fact)
}

fn describe(program: &Program) -> (String, Value) {
    let version = vmm::version(program);
    let features = match program {
        Program::Crosvm(path) => features(path).unwrap_or_default(),
        Program::Qemu(_) => Vec::new(),
    };
    let program = program.path();
    let mut line = match &version {
        Ok(version) => format!("{}: {version}", program.display()),
        Err(e) => format!("{} has no version: {e}", program.display()),
    };
    let version = version.ok();
    let list = |wanted: bool| -> Vec<&str> {
        features
            .iter()
            .filter(|(_, there)| *there == wanted)
            .map(|(name, _)| *name)
            .collect()
    };
    if !list(true).is_empty() {
        line += &format!("; built with {}", list(true).join(", "));
    }
    if !list(false).is_empty() {
        line += &format!("; built without {}", list(false).join(", "));
    }
    let features: serde_json::Map<String, Value> = features
        .iter()
        .map(|(name, there)| ((*name).to_owned(), Value::Bool(*there)))
        .collect();
    let json = json!({ "program": program, "version": version, "features": features });
    (line, json)
}

/// What a build of crosvm can do; none if it does not say.
fn features(program: &Path) -> Option<Vec<(&'static str, bool)>> {
    let scratch = tempfile::tempdir().ok()?;
    Abilities::of(program.to_owned()).features(scratch.path())
}

/// The first line that a manager prints when asked for its version.
fn version(program: &Path) -> Option<String> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().filter(|_| output.status.success())?;
    Some(line.trim().to_owned())
}

/// The acceleration that the manager would take, if a variable decides it.
pub(super) fn acceleration() -> Option<Fact> {
    let set = std::env::var(vmm::find::ACCEL_VARIABLE)
        .ok()
        .filter(|v| !v.is_empty())?;
    Some(Fact::value(
        "acceleration",
        "acceleration",
        format!("{set}, by {}", vmm::find::ACCEL_VARIABLE),
    ))
}

pub(super) fn manager(name: &'static str, title: &'static str) -> Fact {
    match vmclient::locate(name) {
        Some(path) => {
            let version = version(&path).map(|v| format!(": {v}")).unwrap_or_default();
            Fact::there(name, title, format!("{}{version}", path.display()))
        }
        None => Fact::lacking(
            name,
            title,
            format!("no {name} beside this program, in /apex/com.android.virt/bin or in PATH"),
            "build it with cargo xtask dist",
        ),
    }
}
