// SPDX-License-Identifier: Apache-2.0
//! The note in a VM's directory that says whose it is: a line for each thing, a word and its value.
//!
//! | line | what it tells |
//! | --- | --- |
//! | `name NAME` | the VM's name, without control characters |
//! | `client PID` | the process that had it created |
//! | `manager PID START` | the process that holds the directory; when it started, as in `/proc/PID/stat` |
//! | `process PID START` | a process of the VM's; there may be several |
//! | `console PATH` | where the client says that the console is; the last one counts |

use super::Error;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The file.
pub(super) const OWNER: &str = "owner";
/// As much of one is read.
const LONGEST: u64 = 1 << 20;

/// A VM's directory that a manager holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The VM's CID.
    pub cid: u32,
    /// The directory.
    pub path: PathBuf,
    /// The process that had the VM created.
    pub client: i32,
    /// Where the client says that its console is.
    pub console: Option<String>,
}

/// The directories in `base` whose managers live. A lock is not tried: that could make a claim by
/// its manager fail.
#[must_use]
pub fn held(base: &Path) -> Vec<Held> {
    let mut found = Vec::new();
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let path = entry.path();
        let cid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let Ok(note) = read(&path) else {
            continue;
        };
        if let Some(cid) = cid
            && !is_of_the_dead(&note)
        {
            found.push(Held {
                cid,
                path,
                client: value(&note, "client")
                    .and_then(|pid| pid.parse().ok())
                    .unwrap_or_default(),
                console: note
                    .lines()
                    .rev()
                    .find_map(|line| line.strip_prefix("console "))
                    .map(str::to_owned),
            });
        }
    }
    found
}

/// The note in `directory`, which may be another user's.
///
/// # Errors
/// If there is none that can be read.
pub(super) fn read(directory: &Path) -> io::Result<String> {
    let mut text = String::new();
    log_file::open(&directory.join(OWNER))?
        .take(LONGEST)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// The value of the first line that begins with `key`.
fn value<'a>(note: &'a str, key: &str) -> Option<&'a str> {
    note.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
}

/// Notes in the VM's directory where the client says that its console is.
///
/// # Errors
/// If the note cannot be written, as when the VM has ended.
pub fn note_console(directory: &Path, console: &str) -> io::Result<()> {
    append(&directory.join(OWNER), &format!("console {console}\n"))
}

/// Notes what the VM's CPUs do: `running`, `suspended` or `paused`.
///
/// # Errors
/// If the note cannot be written, as when the VM has ended.
pub fn note_state(directory: &Path, state: &str) -> io::Result<()> {
    append(&directory.join(OWNER), &format!("state {state}\n"))
}

pub(super) fn append(note: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new()
        .append(true)
        .open(note)?
        .write_all(text.as_bytes())
}

/// The content of the owner's note.
pub(super) fn owner_note(name: &str, client: i32) -> String {
    let me = rustix::process::getpid().as_raw_nonzero().get();
    let start = start_time(me).unwrap_or_default();
    let name = one_line(name);
    format!("name {name}\nclient {client}\nmanager {me} {start}\n")
}

/// Whether the manager that made the directory `path` is gone. Without a note it is not.
pub(super) fn is_abandoned(path: &Path) -> bool {
    is_of_the_dead(&read(path).unwrap_or_default())
}

fn is_of_the_dead(note: &str) -> bool {
    value(note, "manager").is_some_and(|manager| {
        let mut words = manager.split(' ');
        words
            .next()
            .and_then(|pid| pid.parse().ok())
            .is_some_and(|pid| start_time(pid).as_deref() != words.next())
    })
}

/// What the owner's note says of the VM that holds the directory.
pub(super) fn running(note: &str, cid: u32) -> Error {
    let value = |key| value(note, key).unwrap_or("(unknown)").to_owned();
    Error::Running {
        name: value("name"),
        cid,
        pid: value("client"),
    }
}

/// When process `pid` started: field 22 of `/proc/PID/stat`, counted after the name.
pub(super) fn start_time(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)
        .map(str::to_owned)
}

/// `text` without line breaks.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
