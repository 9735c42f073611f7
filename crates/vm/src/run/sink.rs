// SPDX-License-Identifier: Apache-2.0
//! Where a guest's output goes: to the user or a file, and to what is kept for `vm logs`.

use crate::harmless::Harmless;
use crate::out::{self, Reader};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::Path;
use vm_directory::LogFile;

/// Bytes of a stream's end that are kept for the case that the VM fails.
const TAIL: usize = 16 * 1024;

/// What the user sees of a stream.
#[derive(Debug)]
pub(super) enum Shown {
    /// Nothing.
    Nothing,
    /// All of it, on standard output; as harmless text if that is a terminal.
    Stdout(Option<Harmless>),
    /// All of it, in a file.
    File(File),
}

impl Shown {
    /// On standard output.
    pub(super) fn stdout() -> Self {
        Self::Stdout(io::stdout().is_terminal().then(Harmless::default))
    }

    /// On a terminal that is the guest's, with its control sequences.
    pub(super) fn raw_stdout() -> Self {
        Self::Stdout(None)
    }

    /// Whether it goes to standard output.
    pub(super) fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout(_))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<Reader> {
        match self {
            Self::Nothing => Ok(Reader::Present),
            Self::Stdout(None) => out::write(out::stdout(), bytes),
            Self::Stdout(Some(harmless)) => {
                out::write(out::stdout(), harmless.show(bytes).as_bytes())
            }
            Self::File(file) => out::write(file, bytes),
        }
    }
}

/// One stream of a guest.
#[derive(Debug)]
pub(super) struct Sink {
    pub(super) shown: Shown,
    kept: Option<LogFile>,
    tail: Tail,
    has_lost: bool,
}

impl Sink {
    /// Shows a stream, and keeps its end in `file`.
    pub(super) fn new(shown: Shown, file: Option<&Path>) -> Self {
        Self {
            shown,
            kept: file.map(|file| LogFile::new(file.to_owned())),
            tail: Tail::default(),
            has_lost: false,
        }
    }

    /// Takes what came, and returns whether someone reads it. What cannot be written any more, for
    /// example to a full disk, is told once, and the guest does not notice.
    pub(super) fn take(&mut self, bytes: &[u8], tell: impl Fn(String)) -> Reader {
        self.tail.push(bytes);
        let mut reader = Reader::Present;
        match self.shown.write(bytes) {
            Ok(Reader::Present) => {}
            Ok(Reader::Gone) => {
                reader = Reader::Gone;
                self.shown = Shown::Nothing;
            }
            Err(e) => {
                tell(format!(
                    "cannot write the guest's output any more: {e}; the VM runs on, and `vm logs` \
                     prints the end of its output"
                ));
                self.has_lost = true;
                self.shown = Shown::Nothing;
            }
        }
        if let Some(log) = &mut self.kept
            && let Err(e) = log.write(bytes)
        {
            // The directory is removed with the VM, maybe before the last of its output has been read.
            if e.kind() != io::ErrorKind::NotFound {
                tell(format!("cannot keep the guest's output for `vm logs`: {e}"));
            }
            self.kept = None;
        }
        reader
    }

    /// Whether some of the stream could not be written where the user wanted it.
    pub(super) fn has_lost(&self) -> bool {
        self.has_lost
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
            let reader = sink.take(b"line\n", |text| told.borrow_mut().push(text));
            assert_eq!(reader, Reader::Present);
        }
        assert_eq!(told.borrow().len(), 1, "{told:?}");
        assert!(sink.has_lost());
        assert_eq!(std::fs::read(&path).unwrap(), b"line\n".repeat(3));
        let _ = sink.take(&[b'x'; 2 * TAIL], |_| {});
        assert_eq!(sink.into_tail().len(), TAIL);
    }
}
