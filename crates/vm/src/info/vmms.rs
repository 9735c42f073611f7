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

/// What a manager says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Version {
    /// Its name and version.
    title: Option<String>,
    /// The releases of Android that are built into it; none if it does not say.
    releases: Vec<String>,
}

impl Version {
    /// Asks a manager.
    fn of(program: &Path) -> Self {
        let asked = Command::new(program)
            .arg("--version")
            .stdin(Stdio::null())
            .output();
        match asked {
            Ok(output) if output.status.success() => {
                Self::parse(&String::from_utf8_lossy(&output.stdout))
            }
            _ => Self::default(),
        }
    }

    /// Reads the lines that a manager prints. Those of other projects print one.
    fn parse(text: &str) -> Self {
        let mut lines = text.lines().map(str::trim);
        let title = lines.next().map(str::to_owned);
        let releases = lines.find_map(|line| line.strip_prefix("Android releases:"));
        Self {
            title: title.filter(|title| !title.is_empty()),
            releases: releases
                .into_iter()
                .flat_map(|names| names.split(','))
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect(),
        }
    }
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

/// The manager called `name`, the program `given` if the user named one, and the releases that are built
/// into it.
pub(super) fn manager(
    name: &'static str,
    title: &'static str,
    releases: &'static str,
    given: Option<&Path>,
) -> Vec<Fact> {
    let Some(path) = given.map(Path::to_owned).or_else(|| vmclient::locate(name)) else {
        return vec![Fact::lacking(
            name,
            title,
            format!("no {name} beside this program, in /apex/com.android.virt/bin or in PATH"),
            "build it with cargo xtask dist",
        )];
    };
    let version = Version::of(&path);
    let line = version.title.map(|title| format!(": {title}"));
    let line = format!("{}{}", path.display(), line.unwrap_or_default());
    let mut facts = vec![Fact::there(name, title, line)];
    if !version.releases.is_empty() {
        facts.push(Fact {
            details: Some(version.releases.clone().into()),
            ..Fact::value(releases, "Android releases", version.releases.join(", "))
        });
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_says_its_version_and_maybe_its_releases() {
        let version = |title: &str, releases: &[&str]| Version {
            title: Some(title.to_owned()),
            releases: releases.iter().map(ToString::to_string).collect(),
        };
        for (text, expected) in [
            (
                "virtmgr 0.1.0\nAndroid releases: 15, 15-qpr1, 17.1\n",
                version("virtmgr 0.1.0", &["15", "15-qpr1", "17.1"]),
            ),
            ("virtmgr 0.1.0\n", version("virtmgr 0.1.0", &[])),
            (
                "other 1\nmore\nAndroid releases:\n",
                version("other 1", &[]),
            ),
            ("", Version::default()),
        ] {
            assert_eq!(Version::parse(text), expected, "{text}");
        }
    }
}
