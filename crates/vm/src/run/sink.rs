// SPDX-License-Identifier: Apache-2.0
//! Where a guest's output goes: to the user or his file, and to what is kept.

use anyhow::{Context, Result};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use vm_directory::LogFile;

/// Bytes of a stream's end that are kept for the case that the VM fails.
const TAIL: usize = 16 * 1024;

/// What the user sees of a stream.
#[derive(Debug)]
pub(super) enum Shown {
    /// Nothing.
    Nothing,
    /// All of it, on standard output.
    Stdout,
    /// All of it, in a file.
    File(File),
}

impl Shown {
    /// What an option's value says; without one, standard output unless that is a terminal.
    pub(super) fn of_option(name: &str, path: Option<&Path>) -> Result<Self> {
        match path {
            None if io::stdout().is_terminal() => Ok(Self::Nothing),
            None => Ok(Self::Stdout),
            Some(path) if is_stdout(path) => Ok(Self::Stdout),
            Some(path) => File::create(path)
                .with_context(|| format!("{name} {}: cannot write to it", path.display()))
                .map(Self::File),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()
            }
            Self::File(file) => file.write_all(bytes),
        }
    }
}

fn is_stdout(path: &Path) -> bool {
    path == Path::new("-") || path == Path::new("/dev/stdout")
}

/// One stream of a guest.
#[derive(Debug)]
pub(super) struct Sink {
    pub(super) shown: Shown,
    kept: Option<LogFile>,
    tail: Tail,
}

impl Sink {
    /// Shows a stream, and keeps its end in `file`.
    pub(super) fn new(shown: Shown, file: Option<&Path>) -> Self {
        Self {
            shown,
            kept: file.map(|file| LogFile::new(file.to_owned())),
            tail: Tail::default(),
        }
    }

    /// Takes what came. What cannot be written any more, as a full disk or a reader that has gone,
    /// is told once, and the guest does not notice.
    pub(super) fn take(&mut self, bytes: &[u8], tell: impl Fn(String)) {
        self.tail.push(bytes);
        if let Err(e) = self.shown.write(bytes) {
            if e.kind() != io::ErrorKind::BrokenPipe {
                tell(format!("the guest's output is not shown any more: {e}"));
            }
            self.shown = Shown::Nothing;
        }
        if let Some(log) = &mut self.kept
            && let Err(e) = log.write(bytes)
        {
            // The directory goes with the VM, before the last of its output may have been read.
            if e.kind() != io::ErrorKind::NotFound {
                tell(format!("the guest's output is not kept any more: {e}"));
            }
            self.kept = None;
        }
    }

    /// The end of the stream.
    pub(super) fn into_tail(self) -> String {
        self.tail.text()
    }
}

#[derive(Debug, Default)]
struct Tail {
    bytes: VecDeque<u8>,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let surplus = self.bytes.len().saturating_sub(TAIL);
        self.bytes.drain(..surplus);
    }

    fn text(&self) -> String {
        let bytes: Vec<u8> = self.bytes.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_kept_even_if_it_cannot_be_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("console.log");
        // A file that is open for reading only cannot be written.
        let closed = Shown::File(File::open("/dev/null").unwrap());
        let mut sink = Sink::new(closed, Some(&path));
        let told = std::cell::RefCell::new(Vec::new());
        for _ in 0..3 {
            sink.take(b"line\n", |text| told.borrow_mut().push(text));
        }
        assert_eq!(told.borrow().len(), 1, "{told:?}");
        assert_eq!(std::fs::read(&path).unwrap(), b"line\n".repeat(3));
        sink.take(&[b'x'; 2 * TAIL], |_| {});
        assert_eq!(sink.into_tail().len(), TAIL);
    }
}
