// SPDX-License-Identifier: Apache-2.0
//! What a program needs beside its own file: a dynamic loader, or a script's interpreter.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The longest path of a loader or interpreter that the kernel takes, and more.
const MAX_PATH: usize = 4096;
/// Program headers that are looked at; the kernel takes 64 KiB of them.
const MAX_HEADERS: u16 = 2048;
/// The type of the program header that names the dynamic loader.
const PT_INTERP: u32 = 3;

/// Checks that the kernel can execute `file`: that it is an ELF file or a script, and that what it
/// is loaded with exists.
///
/// # Errors
/// If it cannot, with the reason and the remedy.
pub(crate) fn check(file: &File) -> io::Result<()> {
    let mut head = [0; 4];
    let length = file.read_at(&mut head, 0)?;
    if head == *b"\x7fELF" {
        return match loader(file)? {
            Some(loader) if !Path::new(&loader).exists() => Err(io::Error::other(format!(
                "it needs {}, which is not in the guest; link it statically",
                loader.escape_debug()
            ))),
            _ => Ok(()),
        };
    }
    if head[..length].starts_with(b"#!") {
        let interpreter = interpreter(file)?;
        if !Path::new(&interpreter).exists() {
            return Err(io::Error::other(format!(
                "it needs the interpreter '{}', which is not in the guest; put it there",
                interpreter.escape_debug()
            )));
        }
        return Ok(());
    }
    Err(io::Error::other(
        "it is neither an ELF file nor a script that begins with '#!'",
    ))
}

/// Where an ELF file of one class has what leads to its dynamic loader.
struct Layout {
    /// Of the file's header: offset, size and number of the program headers.
    offset: usize,
    size: usize,
    number: usize,
    /// Of a program header: offset and length of its part of the file.
    part_offset: usize,
    part_length: usize,
    /// Bytes of an offset or length.
    word: usize,
}

const ELF32: Layout = Layout {
    offset: 28,
    size: 42,
    number: 44,
    part_offset: 4,
    part_length: 16,
    word: 4,
};
const ELF64: Layout = Layout {
    offset: 32,
    size: 54,
    number: 56,
    part_offset: 8,
    part_length: 32,
    word: 8,
};

/// The dynamic loader that an ELF file asks for, if any.
fn loader(file: &File) -> io::Result<Option<String>> {
    let broken = || io::Error::other("it is not a whole ELF file; copy it again");
    let mut header = [0; 64];
    let length = read_up_to(file, &mut header, 0)?;
    let header = header.get(..length).unwrap_or_default();
    let layout = match header.get(4) {
        Some(1) => ELF32,
        Some(2) => ELF64,
        _ => return Err(broken()),
    };
    let field = |bytes: &[u8], at: usize, width: usize| number(bytes, at, width).ok_or_else(broken);
    let offset = field(header, layout.offset, layout.word)?;
    let size = field(header, layout.size, 2)?;
    let headers = field(header, layout.number, 2)?;
    for index in 0..headers.min(u64::from(MAX_HEADERS)) {
        let mut entry = [0; 56];
        let at = index
            .checked_mul(size)
            .and_then(|at| at.checked_add(offset))
            .ok_or_else(broken)?;
        let length = read_up_to(file, &mut entry, at)?;
        let entry = entry.get(..length).unwrap_or_default();
        if field(entry, 0, 4)? != u64::from(PT_INTERP) {
            continue;
        }
        let at = field(entry, layout.part_offset, layout.word)?;
        let length = field(entry, layout.part_length, layout.word)?;
        let length = usize::try_from(length).map_or(MAX_PATH, |length| length.min(MAX_PATH));
        let mut path = vec![0; length];
        let length = read_up_to(file, &mut path, at)?;
        path.truncate(length);
        if let Some(end) = path.iter().position(|byte| *byte == 0) {
            path.truncate(end);
        }
        return Ok(Some(String::from_utf8_lossy(&path).into_owned()));
    }
    Ok(None)
}

/// The program that the first line of a script names.
fn interpreter(file: &File) -> io::Result<String> {
    let mut line = Vec::new();
    let limit = u64::try_from(MAX_PATH).unwrap_or(u64::MAX);
    BufReader::new(file.take(limit)).read_until(b'\n', &mut line)?;
    let line = String::from_utf8_lossy(line.get(2..).unwrap_or_default()).into_owned();
    Ok(line
        .split_ascii_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned())
}

/// Reads at `offset` until `buffer` is full or the file ends.
fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
        // Beyond what an offset can be there is no file.
        match file.read_at(rest, at.min(i64::MAX.unsigned_abs())) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// A number of `width` bytes, little-endian as on every processor that has this project's guests.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(width)?)?;
    let mut whole = [0; 8];
    whole.get_mut(..width)?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(bytes: &[u8]) -> io::Result<()> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        check(&File::open(file.path()).unwrap())
    }

    fn refused(bytes: &[u8]) -> String {
        checked(bytes).unwrap_err().to_string()
    }

    /// The shell of this machine, as it is and with another loader.
    #[test]
    fn a_missing_loader_is_named() {
        let shell = std::fs::read("/bin/sh").unwrap();
        checked(&shell).unwrap();
        let loader = loader(&File::open("/bin/sh").unwrap()).unwrap().unwrap();
        let missing = loader.replace("/ld-", "/no-");
        assert_eq!(loader.len(), missing.len());
        let at = shell
            .windows(loader.len())
            .position(|window| window == loader.as_bytes())
            .unwrap();
        let mut other = shell;
        other[at..at + missing.len()].copy_from_slice(missing.as_bytes());
        assert_eq!(
            refused(&other),
            format!("it needs {missing}, which is not in the guest; link it statically")
        );
    }

    #[test]
    fn a_missing_interpreter_is_named() {
        checked(b"#!/bin/sh\n").unwrap();
        checked(b"#! /bin/sh -e\nexit 0\n").unwrap();
        assert_eq!(
            refused(b"#!/usr/bin/no-such-python3 -u\nprint()\n"),
            "it needs the interpreter '/usr/bin/no-such-python3', which is not in the guest; \
             put it there"
        );
        assert!(refused(b"text").contains("neither an ELF file nor a script"));
        assert!(refused(b"").contains("neither an ELF file nor a script"));
    }

    /// No cut or changed ELF file does harm.
    #[test]
    fn broken_elf_files_are_refused_or_harmless() {
        assert_eq!(
            refused(b"\x7fELF\x02\x01"),
            "it is not a whole ELF file; copy it again"
        );
        let mut head = std::fs::read("/bin/sh").unwrap();
        head.truncate(1024);
        for at in 0..128 {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = head.clone();
                changed[at] = value;
                // Whatever it says of it, it returns.
                let _ = checked(&changed);
            }
        }
        for length in (0..head.len()).step_by(16) {
            let _ = checked(&head[..length]);
        }
    }
}
