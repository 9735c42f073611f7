// SPDX-License-Identifier: Apache-2.0
//! The least that a child can do: write one byte to an inherited pipe and wait until its socket
//! closes. What a manager takes longer is its own.
#![forbid(unsafe_code)]

use std::fs::OpenOptions;
use std::io::Write;

fn main() {
    let pipe = std::env::args().nth(1).unwrap_or_default();
    let told = OpenOptions::new()
        .write(true)
        .open(format!("/proc/self/fd/{pipe}"))
        .and_then(|mut pipe| pipe.write_all(b"o"));
    if let Err(e) = told {
        eprintln!("pipe {pipe}: {e}");
    }
}
