// SPDX-License-Identifier: Apache-2.0
//! Programs of the system that check what this crate makes.

use std::path::Path;
use std::process::Command;

/// What a program prints about a file, or `None` where it is not installed.
pub(crate) fn output_of(program: &str, arguments: &[&str], files: &[&Path]) -> Option<String> {
    let path = format!(
        "/usr/sbin:/sbin:{}",
        std::env::var("PATH").unwrap_or_default()
    );
    let output = Command::new(program)
        .args(arguments)
        .args(files)
        .env("PATH", path)
        .output();
    match output {
        Ok(output) => {
            let text =
                String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program} {arguments:?}: {text}");
            Some(text.into_owned())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            skip::skip!("no {program} here");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}
