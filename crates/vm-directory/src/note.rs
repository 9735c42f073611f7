// SPDX-License-Identifier: Apache-2.0
//! The owner's note: a line for each fact, a word and its value. Later programs may write more words.
//!
//! | line | meaning |
//! | --- | --- |
//! | `name NAME` | the VM's name, without control characters |
//! | `client PID` | the process that had the VM created |
//! | `boot ID` | the boot of the machine in which the note was written |
//! | `manager PID START` | the process that holds the directory; START as in `/proc/PID/stat` |
//! | `process PID START` | a helper process of the VM; there may be several |
//! | `vmm PID START KIND` | the VMM's process, and which VMM it is |
//! | `console PATH` | where the client says that the console is; the last one counts |
//! | `instance HEX` | the VM's instance id, if it is not all zeros |
//! | `state STATE` | `running`, `suspended` or `paused` (by the VMM, for want of space); the last one counts |

use crate::open::file_at;
use crate::{Directory, OWNER, Process, boot_id};
use rustix::fs::OFlags;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;

/// The longest part of a note that is read.
const LONGEST: u64 = 1 << 20;

/// What a manager has written of a VM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    /// The VM's name; empty until it is written.
    pub name: String,
    /// The process that had the VM created.
    pub client: Option<i32>,
    /// The boot of the machine.
    pub boot: Option<String>,
    /// The manager.
    pub manager: Option<Process>,
    /// The VMM; none before the start.
    pub vmm: Option<Vmm>,
    /// The VM's helper processes, in the order of their start.
    pub processes: Vec<Process>,
    /// Where the client says that the console is.
    pub console: Option<String>,
    /// Its instance id, if it is known and not all zeros.
    pub instance: Option<Box<[u8; 64]>>,
    /// What the VM does, if its manager said so.
    pub state: Option<VmState>,
}

/// A VMM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vmm {
    /// Its process.
    pub process: Process,
    /// Which VMM it is: `crosvm` or `qemu`.
    pub kind: String,
}

/// What a started VM does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VmState {
    /// Its CPUs run.
    Running,
    /// Someone suspended it.
    Suspended,
    /// Its VMM paused it, for want of space or after an I/O error.
    Paused,
}

impl VmState {
    const NAMES: [(Self, &'static str); 3] = [
        (Self::Running, "running"),
        (Self::Suspended, "suspended"),
        (Self::Paused, "paused"),
    ];

    fn parse(text: &str) -> Option<Self> {
        let mut names = Self::NAMES.iter();
        names
            .find(|(_, name)| *name == text)
            .map(|(state, _)| *state)
    }
}

impl fmt::Display for VmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Self::NAMES.iter();
        let name = names.find(|(state, _)| state == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

/// A line of a note.
#[derive(Debug, Clone)]
pub enum Line<'a> {
    /// A helper process.
    Process(Process),
    /// The VMM and its kind.
    Vmm(Process, &'a str),
    /// The console's path.
    Console(&'a str),
    /// The instance id.
    Instance(&'a [u8; 64]),
    /// What the VM does.
    State(VmState),
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(process) => writeln!(f, "process {process}"),
            Self::Vmm(process, kind) => writeln!(f, "vmm {process} {}", one_line(kind)),
            Self::Console(path) => writeln!(f, "console {}", one_line(path)),
            Self::Instance(id) => {
                let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
                writeln!(f, "instance {hex}")
            }
            Self::State(state) => writeln!(f, "state {state}"),
        }
    }
}

/// Adds a line to the note in `directory`.
///
/// # Errors
/// If there is no note, as when the VM has ended, or it cannot be written.
pub fn append(directory: BorrowedFd<'_>, line: &Line<'_>) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::APPEND;
    // One write, so that lines of two writers do not mix.
    file_at(directory, OWNER, flags)?.write_all(line.to_string().as_bytes())
}

impl Note {
    /// Writes the first lines of the note in `directory`: the VM's name, its client, and this process
    /// as its manager.
    ///
    /// # Errors
    /// If there is a note already, or it cannot be written.
    pub fn begin(directory: BorrowedFd<'_>, name: &str, client: i32) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL;
        let mut text = format!("name {}\nclient {client}\n", one_line(name));
        if let Some(boot) = boot_id() {
            text += &format!("boot {boot}\n");
        }
        text += &format!("manager {}\n", Process::this());
        file_at(directory, OWNER, flags)?.write_all(text.as_bytes())
    }

    /// Reads the note in `directory`.
    ///
    /// # Errors
    /// If no readable one exists.
    pub fn read(directory: &Directory) -> io::Result<Self> {
        let mut bytes = Vec::new();
        directory
            .file(OWNER)?
            .take(LONGEST)
            .read_to_end(&mut bytes)?;
        Ok(Self::parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Reads the text of a note. Lines that are not known, and the last one if it is not finished, are
    /// left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut note = Self::default();
        let finished = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in finished.lines() {
            let Some((key, value)) = line.split_once(' ') else {
                continue;
            };
            match key {
                "name" => note.name = value.to_owned(),
                "client" => note.client = value.parse().ok(),
                "boot" => note.boot = Some(value.to_owned()),
                "manager" => note.manager = Process::parse(value),
                "process" => note.processes.extend(Process::parse(value)),
                "vmm" => note.vmm = Vmm::parse(value),
                "console" => note.console = Some(value.to_owned()),
                "instance" => note.instance = instance(value),
                "state" => note.state = VmState::parse(value),
                _ => {}
            }
        }
        note
    }

    /// Whether the manager lives; none if the note does not name it, as while it is being written.
    #[must_use]
    pub fn has_live_manager(&self) -> Option<bool> {
        let manager = self.manager?;
        let is_of_this_boot = match (&self.boot, boot_id()) {
            (Some(noted), Some(now)) => *noted == now,
            _ => true,
        };
        Some(is_of_this_boot && manager.is_alive())
    }

    /// All processes of the VM: its helpers, then its VMM. None of another boot.
    #[must_use]
    pub fn all_processes(&self) -> Vec<Process> {
        if matches!((&self.boot, boot_id()), (Some(noted), Some(now)) if *noted != now) {
            return Vec::new();
        }
        let vmm = self.vmm.iter().map(|vmm| vmm.process);
        self.processes.iter().copied().chain(vmm).collect()
    }
}

impl Vmm {
    fn parse(text: &str) -> Option<Self> {
        let (process, kind) = text.rsplit_once(' ')?;
        Some(Self {
            process: Process::parse(process)?,
            kind: kind.to_owned(),
        })
    }
}

/// The instance id of 128 hexadecimal digits.
fn instance(hex: &str) -> Option<Box<[u8; 64]>> {
    let mut id = Box::new([0; 64]);
    let (digits, rest) = hex.as_bytes().as_chunks::<2>();
    if digits.len() != id.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(digits) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let value = digit(pair[0])? << 4 | digit(pair[1])?;
        *byte = u8::try_from(value).ok()?;
    }
    Some(id)
}

/// `text` without line breaks and other control characters.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::AsFd;

    #[test]
    fn what_is_written_is_read() {
        let base = tempfile::tempdir().unwrap();
        let directory = Directory::open(&base.path().canonicalize().unwrap()).unwrap();
        let fd = directory.as_fd();
        assert!(append(fd, &Line::Console("x")).is_err());
        Note::begin(fd, "my\nvm", 12).unwrap();
        assert!(Note::begin(fd, "again", 12).is_err());
        let helper = Process {
            pid: 14,
            start: 500,
        };
        let vmm = Process {
            pid: 15,
            start: 501,
        };
        let id = std::array::from_fn(|index| u8::try_from(index * 4).unwrap());
        for line in [
            Line::Process(helper),
            Line::Vmm(vmm, "qemu"),
            Line::Console("/dev/pts/1\nstate paused"),
            Line::Console("/dev/pts/2"),
            Line::Instance(&id),
            Line::State(VmState::Suspended),
        ] {
            append(fd, &line).unwrap();
        }
        let note = Note::read(&directory).unwrap();
        for damaged in ["", "0", "zz", &"0".repeat(127), &"0".repeat(130)] {
            let note = Note::parse(&format!("instance {damaged}\n"));
            assert_eq!(note.instance, None, "{damaged}");
        }
        let expected = Note {
            name: "my vm".into(),
            client: Some(12),
            boot: boot_id(),
            manager: Some(Process::this()),
            vmm: Some(Vmm {
                process: vmm,
                kind: "qemu".into(),
            }),
            processes: vec![helper],
            console: Some("/dev/pts/2".into()),
            instance: Some(Box::new(id)),
            state: Some(VmState::Suspended),
        };
        assert_eq!(note, expected);
        assert_eq!(note.has_live_manager(), Some(true));
        assert_eq!(note.all_processes(), [helper, vmm]);
    }

    #[test]
    fn unknown_damaged_and_unfinished_lines_are_left_out() {
        let note = Note::parse("future x\n\nprocess x\nvmm 1\nstate asleep\nname a\nclient 1");
        assert_eq!(
            note,
            Note {
                name: "a".into(),
                ..Note::default()
            }
        );
        assert_eq!(note.has_live_manager(), None);
    }

    #[test]
    fn a_note_of_another_boot_is_of_the_dead() {
        let me = Process::this();
        let text = format!("boot 0-0\nmanager {me}\nprocess {me}\n");
        let note = Note::parse(&text);
        assert_eq!(note.has_live_manager(), Some(false));
        assert!(note.all_processes().is_empty());
    }

    #[test]
    fn a_note_is_not_followed_anywhere() {
        let base = tempfile::tempdir().unwrap();
        let directory = Directory::open(&base.path().canonicalize().unwrap()).unwrap();
        fs::write(base.path().join("victim"), "").unwrap();
        std::os::unix::fs::symlink("victim", base.path().join(OWNER)).unwrap();
        assert!(Note::begin(directory.as_fd(), "x", 1).is_err());
        assert!(append(directory.as_fd(), &Line::Console("x")).is_err());
        assert_eq!(fs::read(base.path().join("victim")).unwrap(), b"");
    }
}
