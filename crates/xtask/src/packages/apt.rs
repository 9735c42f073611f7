// SPDX-License-Identifier: Apache-2.0
//! What `apt-get install` would do, found out before it is done.

use crate::steps::{line, output};
use anyhow::{Context, Result, anyhow, bail};
use std::collections::BTreeMap;
use std::process::Command;

/// How many versions of a package are tried in place of the one that is in the way.
const VERSIONS: usize = 3;
/// Of every installation: never remove, and install nothing that is merely recommended.
const OPTIONS: [&str; 3] = ["install", "--no-remove", "--no-install-recommends"];
const DOWNGRADES: &str = "--allow-downgrades";

/// An installation that removes nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The arguments of `apt-get`.
    pub(super) arguments: Vec<String>,
    /// What it does to each package.
    changes: Vec<Change>,
    /// What it fetches, as apt says it.
    size: Option<String>,
}

/// What happens to a package.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    /// It comes.
    Install(String),
    /// It gets another version.
    Replace {
        name: String,
        from: String,
        to: String,
    },
    /// It goes.
    Remove(String),
}

/// Why there is no plan.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The package lists do not have what is needed, or are not there.
    Unknown(String),
    /// Any other reason, such as that something would have to be removed.
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl From<Refusal> for anyhow::Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown(why) => Self::msg(why),
            Refusal::Other(error) => error,
        }
    }
}

/// Finds out how `packages` can be installed. If an installed package would have to go because it is of
/// another release than what is needed, a version of it that the sources have takes its place.
pub(super) fn plan(packages: &[&str], apt: &Apt) -> Result<Plan, Refusal> {
    let wanted: Vec<String> = packages.iter().map(ToString::to_string).collect();
    let arguments = |options: &[&str], extra: &[String]| -> Vec<String> {
        let options = options.iter().map(ToString::to_string);
        options
            .chain(wanted.iter().cloned())
            .chain(extra.iter().cloned())
            .collect()
    };
    let mut chosen = arguments(&OPTIONS, &[]);
    let mut text = apt.simulate(&chosen);
    if text.is_err() {
        // The same, allowed to remove: what would go?
        let remover = arguments(&["install", "--no-install-recommends"], &[]);
        let would = apt
            .simulate(&remover)
            .map_err(|e| Refusal::Unknown(e.to_string()))?;
        let removed: Vec<_> = changes(&would)
            .into_iter()
            .filter_map(|change| match change {
                Change::Remove(name) => Some(name),
                _ => None,
            })
            .collect();
        let mut versions = Vec::new();
        for name in &removed {
            let known = output(apt.cache().args(["madison", name]))?;
            versions.push(
                available(&known)
                    .map(|version| format!("{name}={version}"))
                    .collect::<Vec<_>>(),
            );
        }
        for attempt in 0..VERSIONS {
            let others: Vec<_> = versions
                .iter()
                .filter_map(|versions| versions.get(attempt).or(versions.last()).cloned())
                .collect();
            let options = [&OPTIONS[..], &[DOWNGRADES]].concat();
            chosen = arguments(&options, &others);
            text = apt.simulate(&chosen);
            if text.is_ok() {
                break;
            }
        }
        if text.is_err() {
            return Err(Refusal::Other(anyhow!(
                "`apt-get {}` would remove {}, and no other version of that can stay; install {} as \
                 you see fit",
                remover.join(" "),
                removed.join(", "),
                wanted.join(", ")
            )));
        }
    }
    let text = text?;
    let fetched = output(apt.get().args(["--print-uris", "-y"]).args(&chosen));
    Ok(Plan {
        changes: changes(&text),
        size: fetched.ok().and_then(|text| size(&text)),
        arguments: chosen,
    })
}

impl Plan {
    /// The plan for people, a line for each kind of change.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut kinds = BTreeMap::<&str, Vec<String>>::new();
        for change in &self.changes {
            let (kind, text) = match change {
                Change::Install(name) => ("installs", name.clone()),
                Change::Replace { name, from, to } => {
                    ("replaces", format!("{name} ({from} by {to})"))
                }
                Change::Remove(name) => ("removes", name.clone()),
            };
            kinds.entry(kind).or_default().push(text);
        }
        kinds
            .entry("removes")
            .or_insert_with(|| vec!["nothing".into()]);
        let lines = kinds
            .into_iter()
            .map(|(kind, names)| format!("{kind}: {}", names.join(", ")));
        lines
            .chain(self.size.iter().map(|size| format!("fetches: {size}")))
            .collect()
    }
}

/// The changes that a simulation prints.
fn changes(text: &str) -> Vec<Change> {
    let bare = |word: &str| word.trim_matches(['[', ']', '(', ')']).to_owned();
    text.lines()
        .filter_map(|line| {
            // Inst NAME [OLD] (NEW RELEASE [ARCHITECTURE]), where OLD may be missing; Remv NAME [OLD]
            let mut words = line.split_whitespace();
            let (verb, name) = (words.next()?, words.next()?.to_owned());
            let next = words.next().unwrap_or_default();
            match verb {
                "Remv" => Some(Change::Remove(name)),
                "Inst" if next.starts_with('[') => Some(Change::Replace {
                    name,
                    from: bare(next),
                    to: words.next().map(bare).unwrap_or_default(),
                }),
                "Inst" => Some(Change::Install(name)),
                _ => None,
            }
        })
        .collect()
}

/// The versions that `apt-cache madison` prints, newest first.
fn available(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter_map(|line| line.split('|').nth(1))
        .map(str::trim)
}

/// What apt says that it fetches.
fn size(text: &str) -> Option<String> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Need to get "))?;
    Some(line.split(" of archives").next()?.to_owned())
}

/// apt's programs, with options for both.
#[derive(Debug, Default)]
pub(super) struct Apt {
    /// Where another list of installed packages is; the machine's own if there is none.
    pub(super) status: Option<String>,
}

impl Apt {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // What it prints is read here.
        command.arg("-q").env("LC_ALL", "C.UTF-8");
        if let Some(status) = &self.status {
            command.args(["-o", &format!("Dir::State::status={status}")]);
        }
        command
    }

    fn get(&self) -> Command {
        self.command("apt-get")
    }

    fn cache(&self) -> Command {
        self.command("apt-cache")
    }

    fn simulate(&self, arguments: &[String]) -> Result<String> {
        let mut command = self.get();
        command.arg("-s").args(arguments);
        let output = command
            .output()
            .with_context(|| format!("start {}", line(&command)))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        // The last error is the one that says why.
        let errors = String::from_utf8_lossy(&output.stderr);
        let why = errors
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("E: "))
            .unwrap_or("it gives no reason");
        bail!("apt-get: {why}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const SIMULATED: &str = "\
Inst qemu-utils [1:10.0.2+ds-2~bpo12+1] (1:7.2+dfsg-7+b3 Debian:12.15/oldstable [amd64])
Inst qemu-system-x86 (1:7.2+dfsg-7+b3 Debian:12.15/oldstable [amd64]) []
Remv other [1.0]
Conf qemu-utils (1:7.2+dfsg-7+b3 Debian:12.15/oldstable [amd64])
";

    #[test]
    fn a_simulation_is_read() {
        let replaced = Change::Replace {
            name: "qemu-utils".into(),
            from: "1:10.0.2+ds-2~bpo12+1".into(),
            to: "1:7.2+dfsg-7+b3".into(),
        };
        assert_eq!(
            changes(SIMULATED),
            [
                replaced,
                Change::Install("qemu-system-x86".into()),
                Change::Remove("other".into())
            ]
        );
        let known = "q | 1:7.2 | http://deb x\nq | 1:7.1 | http://deb y\n";
        assert_eq!(available(known).collect::<Vec<_>>(), ["1:7.2", "1:7.1"]);
        let text = "Need to get 14.1 MB of archives.\n";
        assert_eq!(size(text).unwrap(), "14.1 MB");
    }

    #[test]
    fn the_plan_names_what_goes() {
        let plan = |changes| Plan {
            arguments: Vec::new(),
            changes,
            size: Some("1 MB".into()),
        };
        let lines = plan(vec![
            Change::Install("a".into()),
            Change::Install("b".into()),
        ])
        .lines();
        assert_eq!(
            lines,
            ["installs: a, b", "removes: nothing", "fetches: 1 MB"]
        );
        assert!(
            plan(vec![Change::Remove("c".into())])
                .lines()
                .contains(&"removes: c".into())
        );
    }

    /// The real apt, with a list of installed packages in which one of another release is in the way,
    /// as it is on machines with parts of backports.
    #[test]
    fn a_package_of_another_release_makes_room() {
        const STATUS: &str = "/var/lib/dpkg/status";
        const NEEDED: &str = "qemu-system-x86";
        const IN_THE_WAY: &str = "qemu-utils";
        let apt = Apt::default();
        let known = output(apt.cache().args(["madison", NEEDED, IN_THE_WAY]));
        let (Ok(known), Ok(status)) = (known, fs::read_to_string(STATUS)) else {
            return skip::skip!("no apt");
        };
        if !known.contains(NEEDED) || !known.contains(IN_THE_WAY) {
            return skip::skip!("apt's lists do not have {NEEDED} and {IN_THE_WAY}");
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("status");
        let others: Vec<_> = status
            .split("\n\n")
            .filter(|stanza| !stanza.starts_with("Package: qemu-"))
            .collect();
        let mut text = others.join("\n\n");
        text.push_str(
            "\n\nPackage: qemu-utils\nStatus: install ok installed\nPriority: optional\n\
             Section: otherosfs\nMaintainer: nobody\nArchitecture: amd64\nVersion: 1:99.0-1\n\
             Breaks: qemu-system-common (<< 1:99)\nDescription: a later release\n",
        );
        fs::write(&file, text).unwrap();
        let apt = Apt {
            status: Some(file.display().to_string()),
        };
        let plan = plan(&[NEEDED], &apt).unwrap();
        assert!(plan.arguments.contains(&"--no-remove".to_owned()));
        assert!(plan.arguments.contains(&DOWNGRADES.to_owned()));
        let lines = plan.lines();
        assert!(lines.contains(&"removes: nothing".to_owned()), "{lines:?}");
        assert!(
            lines.iter().any(|line| line.starts_with("replaces: ")
                && line.contains(&format!("{IN_THE_WAY} (1:99.0-1 by "))),
            "{lines:?}"
        );
        let unknown = super::plan(&["no-such-package-anywhere"], &apt).unwrap_err();
        assert!(
            matches!(&unknown, Refusal::Unknown(why) if why.contains("no-such-package-anywhere")),
            "{unknown:?}"
        );
    }
}
