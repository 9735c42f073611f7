// SPDX-License-Identifier: Apache-2.0
//! Keeps a part of the C library out of a static program.
//!
//! The one caller of `sscanf` in these programs is glibc's `pthread_getattr_np`, by which Rust's runtime
//! finds the main thread's stack; it reads the two addresses of a line of `/proc/self/maps`. With
//! glibc's own `sscanf` comes all that reads floating-point numbers, 110 KB of a program that is read
//! from a slow disk in the boot path. The linker takes this one instead. A dynamically linked program
//! has glibc's, as this name is not exported.

use std::ffi::{CStr, c_char, c_int, c_ulong};

/// The format of the two addresses.
const RANGE: &CStr = c"%lx-%lx";

/// `sscanf` for a range of addresses. Any other format converts nothing, which callers take for text that
/// does not match.
///
/// # Safety
/// As for `sscanf`: `text` and `format` end in NULs, and the format's pointers follow.
#[unsafe(no_mangle)]
unsafe extern "C" fn __isoc99_sscanf(
    text: *const c_char,
    format: *const c_char,
    start: *mut c_ulong,
    end: *mut c_ulong,
) -> c_int {
    // SAFETY: both are strings that end in NULs, as the caller promises.
    let format = unsafe { CStr::from_ptr(format) };
    if format != RANGE {
        return 0;
    }
    // SAFETY: as above.
    let text = unsafe { CStr::from_ptr(text) };
    match range(text.to_bytes()) {
        Some((from, to)) => {
            // SAFETY: for this format the caller gives pointers to two of these.
            unsafe { start.write(from) };
            // SAFETY: as above.
            unsafe { end.write(to) };
            2
        }
        None => 0,
    }
}

/// The same, as glibc calls it from version 2.38 on.
///
/// # Safety
/// As for [`__isoc99_sscanf`].
#[unsafe(no_mangle)]
unsafe extern "C" fn __isoc23_sscanf(
    text: *const c_char,
    format: *const c_char,
    start: *mut c_ulong,
    end: *mut c_ulong,
) -> c_int {
    // SAFETY: the caller promises the same.
    unsafe { __isoc99_sscanf(text, format, start, end) }
}

/// The two numbers before the first blank, in hexadecimal with a hyphen between them.
fn range(text: &[u8]) -> Option<(c_ulong, c_ulong)> {
    let text = std::str::from_utf8(text).ok()?;
    let (start, rest) = text.split_once('-')?;
    let end = rest.split(' ').next()?;
    let number = |text| c_ulong::from_str_radix(text, 16).ok();
    Some((number(start)?, number(end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &CStr, format: &CStr) -> (c_int, c_ulong, c_ulong) {
        let (mut start, mut end) = (7, 7);
        // SAFETY: two strings, and pointers to two numbers.
        let count = unsafe {
            __isoc23_sscanf(text.as_ptr(), format.as_ptr(), &raw mut start, &raw mut end)
        };
        (count, start, end)
    }

    #[test]
    fn a_range_of_addresses_and_nothing_else() {
        let line = c"7ffc1000-7ffd2000 rw-p 00000000 00:00 0 [stack]\n";
        assert_eq!(scan(line, RANGE), (2, 0x7ffc_1000, 0x7ffd_2000));
        for text in [c"", c"x-y z", c"12", c"1234567890abcdef0-1 z"] {
            assert_eq!(scan(text, RANGE), (0, 7, 7), "{text:?}");
        }
        assert_eq!(scan(line, c"%d"), (0, 7, 7));
    }
}
