// SPDX-License-Identifier: Apache-2.0
//! Can this kernel be started directly, with these parameters? A VMM may run anything, and a guest
//! that executes noise hangs without a word; a kernel drops what its command line cannot hold.

use crate::images::invalid;
use crate::plan::Boot;
use crate::{Arch, Error};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of a command line that a kernel takes, on x86-64 and arm64: `COMMAND_LINE_SIZE` without
/// the final NUL.
const MAX_COMMAND_LINE: usize = 2047;
/// `HdrS` of the x86 boot protocol, at byte 0x202 of a bzImage.
const BZIMAGE: (u64, &[u8]) = (0x202, b"HdrS");
/// The head of an ELF file, for an unpacked `vmlinux` with a PVH entry.
const ELF: (u64, &[u8]) = (0, b"\x7fELF");
/// `ARM\x64`, at byte 56 of an arm64 `Image`.
const ARM64_IMAGE: (u64, &[u8]) = (56, b"ARM\x64");
/// gzip, for an `Image.gz`.
const GZIP: (u64, &[u8]) = (0, b"\x1f\x8b");
/// A self-decompressing EFI image has this at byte 4.
const ZBOOT: (u64, &[u8]) = (4, b"zimg");

/// Refuses a kernel that has none of the known heads, and a command line that is too long together
/// with `host_params`, the VMM's own part. A boot loader may look like anything, and what it takes
/// is its own affair.
pub(crate) fn check(boot: &Boot, arch: Arch, host_params: &str) -> Result<(), Error> {
    match boot {
        Boot::Kernel { kernel, params, .. } => {
            check_head(kernel, arch)?;
            check_length(params, host_params)
        }
        Boot::Bootloader { .. } => Ok(()),
    }
}

fn check_length(params: &str, host_params: &str) -> Result<(), Error> {
    let own = if host_params.is_empty() {
        0
    } else {
        // A space separates the two.
        host_params.len() + 1
    };
    let length = params.len() + own;
    if length <= MAX_COMMAND_LINE {
        return Ok(());
    }
    let ours = if own == 0 {
        String::new()
    } else {
        format!(" ({own} of them for '{host_params}')")
    };
    Err(Error::Invalid {
        what: format!(
            "params: the kernel's command line has {length} bytes{ours}, but a kernel takes {MAX_COMMAND_LINE}; shorten it"
        ),
    })
}

fn check_head(kernel: &File, arch: Arch) -> Result<(), Error> {
    let (known, names): (&[(u64, &[u8])], _) = match arch {
        Arch::X86_64 => (&[BZIMAGE, ELF], "a bzImage or an ELF vmlinux for x86-64"),
        Arch::Aarch64 => (
            &[ARM64_IMAGE, GZIP, ZBOOT],
            "an Image, Image.gz or EFI zboot image for arm64",
        ),
    };
    let unreadable = || invalid("kernel: cannot read it");
    if !kernel.metadata().map_err(unreadable())?.is_file() {
        // Reading a pipe could wait for ever.
        return Err(Error::Invalid {
            what: "kernel: it is not a regular file; give the kernel's image".into(),
        });
    }
    let mut head = [0u8; 0x206];
    let mut filled = 0;
    while filled < head.len() {
        let at = u64::try_from(filled).unwrap_or(u64::MAX);
        match kernel.read_at(&mut head[filled..], at) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(unreadable()(e)),
        }
    }
    let has = |(at, magic): &(u64, &[u8])| {
        usize::try_from(*at)
            .is_ok_and(|at| head[..filled].get(at..at + magic.len()) == Some(*magic))
    };
    if known.iter().any(has) {
        return Ok(());
    }
    let begins = match &head[..filled.min(4)] {
        [] => "is empty".to_owned(),
        bytes => format!("begins with '{}'", bytes.escape_ascii()),
    };
    Err(Error::Invalid {
        what: format!(
            "kernel: the file is not {names} (it {begins}); give the kernel's image itself"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::OwnedFd;

    fn file(at: usize, magic: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![0; at]).unwrap();
        file.write_all(magic).unwrap();
        file
    }

    #[test]
    fn kernels_are_known_by_their_heads() {
        assert!(check_head(&file(0x202, b"HdrS"), Arch::X86_64).is_ok());
        assert!(check_head(&file(0, b"\x7fELF\x02"), Arch::X86_64).is_ok());
        assert!(check_head(&file(56, b"ARM\x64"), Arch::Aarch64).is_ok());
        assert!(check_head(&file(56, b"ARM\x64"), Arch::X86_64).is_err());
        assert!(check_head(&file(0, b""), Arch::X86_64).is_err());
        let error = check_head(&file(0, b"#!/bin/sh"), Arch::X86_64).unwrap_err();
        assert!(error.is_invalid_input(), "{error}");
        assert_eq!(
            error.to_string(),
            "kernel: the file is not a bzImage or an ELF vmlinux for x86-64 (it begins with '#!/b'); \
             give the kernel's image itself"
        );
    }

    #[test]
    fn a_pipe_is_refused_without_waiting() {
        let (read, _write) = rustix::pipe::pipe().unwrap();
        let error = check_head(&File::from(read), Arch::X86_64).unwrap_err();
        assert_eq!(
            error.to_string(),
            "kernel: it is not a regular file; give the kernel's image"
        );
    }

    #[test]
    fn a_kernel_that_cannot_be_read_is_invalid_input() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write_only: OwnedFd = std::fs::OpenOptions::new()
            .write(true)
            .open(file.path())
            .unwrap()
            .into();
        let error = check_head(&File::from(write_only), Arch::X86_64).unwrap_err();
        assert!(error.is_invalid_input(), "{error}");
        assert_eq!(error.to_string(), "kernel: cannot read it");
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn a_command_line_has_a_limit() {
        let line = |length: usize| "x".repeat(length);
        assert!(check_length(&line(2047), "").is_ok());
        assert_eq!(
            check_length(&line(2048), "").unwrap_err().to_string(),
            "params: the kernel's command line has 2048 bytes, but a kernel takes 2047; shorten it"
        );
        assert!(check_length(&line(2047 - 16), "crashkernel=17M").is_ok());
        assert_eq!(
            check_length(&line(2047 - 15), "crashkernel=17M")
                .unwrap_err()
                .to_string(),
            "params: the kernel's command line has 2048 bytes (16 of them for 'crashkernel=17M'), \
             but a kernel takes 2047; shorten it"
        );
    }
}
