// SPDX-License-Identifier: Apache-2.0
//! Is this file a kernel that can be started directly? A VMM may run anything, and a guest that
//! executes noise just hangs.

use crate::plan::Boot;
use crate::{Arch, Error};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// `HdrS` of the x86 boot protocol, at byte 0x202 of a bzImage.
const BZIMAGE: (u64, &[u8]) = (0x202, b"HdrS");
/// The head of an ELF file, for an unpacked `vmlinux` with a PVH entry.
const ELF: (u64, &[u8]) = (0, b"\x7fELF");
/// `ARM\x64`, at byte 56 of an arm64 `Image`.
const ARM64_IMAGE: (u64, &[u8]) = (56, b"ARM\x64");
/// gzip, for an `Image.gz`.
const GZIP: (u64, &[u8]) = (0, b"\x1f\x8b");
/// A self-decompressing EFI image holds this at byte 4.
const ZBOOT: (u64, &[u8]) = (4, b"zimg");

/// Refuses a kernel that has none of the known heads. A boot loader may look like anything.
pub(crate) fn check(boot: &Boot, arch: Arch) -> Result<(), Error> {
    match boot {
        Boot::Kernel { kernel, .. } => check_head(kernel, arch),
        Boot::Bootloader { .. } => Ok(()),
    }
}

fn check_head(kernel: &File, arch: Arch) -> Result<(), Error> {
    let (known, names): (&[(u64, &[u8])], _) = match arch {
        Arch::X86_64 => (&[BZIMAGE, ELF], "a bzImage or an ELF vmlinux for x86-64"),
        Arch::Aarch64 => (
            &[ARM64_IMAGE, GZIP, ZBOOT],
            "an Image, Image.gz or EFI zboot image for arm64",
        ),
    };
    let mut head = [0u8; 0x206];
    let mut filled = 0;
    while filled < head.len() {
        let at = u64::try_from(filled).unwrap_or(u64::MAX);
        match kernel.read_at(&mut head[filled..], at) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => {
                return Err(Error::InvalidDisk {
                    what: "kernel: it cannot be read".into(),
                    source: e.into(),
                });
            }
        }
    }
    let has = |(at, magic): &(u64, &[u8])| {
        usize::try_from(*at)
            .is_ok_and(|at| head[..filled].get(at..at + magic.len()) == Some(*magic))
    };
    if known.iter().any(has) {
        return Ok(());
    }
    Err(Error::Invalid {
        what: format!(
            "kernel: the file is not {names} (it begins with {:02x?}); give the kernel's image itself",
            &head[..filled.min(4)]
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

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
        assert!(
            error.is_invalid_input() && error.to_string().starts_with("kernel:"),
            "{error}"
        );
    }
}
