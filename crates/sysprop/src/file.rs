// SPDX-License-Identifier: Apache-2.0
//! The properties file of hosts without a property area.

use crate::error::{PropertyWatcherError as Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The file, below the root directory.
const FILE: &str = "etc/avf/build.prop";
/// Longer files are refused.
const LONGEST: u64 = 1 << 20;

/// The properties file below one root directory.
pub(crate) struct PropertiesFile {
    path: PathBuf,
}

impl PropertiesFile {
    pub(crate) fn below(root: &Path) -> Self {
        Self {
            path: root.join(FILE),
        }
    }

    fn text(&self) -> Result<String> {
        let read = || {
            let mut text = String::new();
            // A pipe does not keep it until there is a writer.
            let file = OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_NONBLOCK)
                .open(&self.path)?;
            if !file.metadata()?.is_file() {
                return Err(io::Error::other("not a regular file"));
            }
            if file.take(LONGEST + 1).read_to_string(&mut text)? as u64 > LONGEST {
                return Err(Errno::FBIG.into());
            }
            Ok(text)
        };
        match read() {
            Err(e) if is_absent(&e) => Ok(String::new()),
            other => other.map_err(|source| Error::ReadFailed {
                path: self.path.clone(),
                source,
            }),
        }
    }

    pub(crate) fn read(&self, name: &str) -> Result<Option<String>> {
        let text = self.text()?;
        let value = entries(&text).filter(|(key, _)| *key == name).last();
        Ok(value.map(|(_, value)| value.to_owned()))
    }

    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let text = self.text()?;
        for (number, line) in text.lines().enumerate() {
            if is_content(line) && entry(line).is_none() {
                log::warn!(
                    "{}:{}: line is ignored: write it as key=value",
                    self.path.display(),
                    number + 1
                );
            }
        }
        let names: std::collections::BTreeSet<_> = entries(&text).map(|(key, _)| key).collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    /// Sets `name`. The file is replaced as a whole, so that a reader sees the old or the new one.
    pub(crate) fn write(&self, name: &str, value: &str) -> Result<()> {
        self.replace(name, value)
            .map_err(|source| Error::SetPropertyFailed {
                name: name.to_owned(),
                source,
            })
    }

    fn replace(
        &self,
        name: &str,
        value: &str,
    ) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory)?;
        // One writer at a time; readers need no lock.
        let lock = File::open(directory)?;
        while let Err(e) = flock(&lock, FlockOperation::LockExclusive) {
            if e != Errno::INTR {
                return Err(e.into());
            }
        }
        let old = self.text()?;
        let present = entries(&old).filter(|(key, _)| *key == name).last();
        if name.starts_with("ro.") && present.is_some() {
            let path = self.path.display();
            return Err(format!("it is read-only and already set; edit {path}").into());
        }
        let mut new = String::with_capacity(old.len() + name.len() + value.len() + 2);
        for line in old.lines() {
            if entry(line).is_none_or(|(key, _)| key != name) {
                new += line;
                new.push('\n');
            }
        }
        new += &format!("{name}={value}\n");
        let mode = fs::metadata(&self.path).map_or(0o644, |file| file.mode() & 0o777);
        let unfinished = self.path.with_extension("prop.new");
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(mode)
                .custom_flags(libc::O_NOFOLLOW)
                .open(&unfinished)?;
            file.write_all(new.as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, &self.path)
        };
        write().map_err(|e: io::Error| {
            // What is unfinished must not stay.
            let _ = fs::remove_file(&unfinished);
            e.into()
        })
    }

    /// Waits until the value of `name` is there and not `seen`.
    pub(crate) fn wait(
        &self,
        name: &str,
        seen: Option<&str>,
        until: Option<Instant>,
    ) -> Result<()> {
        let failed = |source: io::Error| Error::Watch {
            path: self.path.clone(),
            source,
        };
        loop {
            // Watched before it is read: no change is missed.
            let changes = self.watch().map_err(failed)?;
            if let Some(value) = self.read(name)?
                && seen != Some(value.as_str())
            {
                return Ok(());
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let timeout = left.map(|left| Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            });
            match poll(
                &mut [PollFd::new(&changes, PollFlags::IN)],
                timeout.as_ref(),
            ) {
                Ok(0) => return Err(Error::WaitFailed(name.to_owned())),
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(failed(e.into())),
            }
        }
    }

    /// Becomes readable when the file, or a directory on the way to it, changes.
    fn watch(&self) -> io::Result<rustix::fd::OwnedFd> {
        let changes = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let events = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF;
        let mut result = Err(Errno::NOENT);
        // All of the directories: one that is made later shows up in the one above it.
        for directory in self.path.ancestors().skip(1) {
            match inotify::add_watch(&changes, directory, events | WatchFlags::ONLYDIR) {
                Ok(_) => {
                    return Ok(changes);
                }
                Err(e @ (Errno::NOENT | Errno::NOTDIR)) => result = Err(e),
                Err(e) => return Err(e.into()),
            }
        }
        result.map(|()| changes).map_err(Into::into)
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn is_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

fn entries(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(entry)
}

fn entry(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=').filter(|_| is_content(line))?;
    Some((key.trim(), value.trim())).filter(|(key, _)| crate::is_name(key))
}
