// SPDX-License-Identifier: Apache-2.0
//! Makes the demo's APK: `demo_apk KEYS PAYLOAD APK`. The key is made in the directory KEYS, or taken
//! from there; PAYLOAD is the program in the APK.
#![forbid(unsafe_code)]

use anyhow::{Context, Result};
use apk_builder::{Entry, Signer};
use std::env;
use std::fs;
use std::path::PathBuf;

/// The name of the payload.
const PAYLOAD: &str = "vm_demo_payload";
/// The configuration that names the payload, for clients that give its path.
const CONFIG: &str = r#"{
  "os": { "name": "microdroid" },
  "task": { "type": "executable", "command": "vm_demo_payload" }
}
"#;

fn main() -> Result<()> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let mut next = || arguments.next().context("usage: demo_apk KEYS PAYLOAD APK");
    let (keys, payload, apk) = (next()?, next()?, next()?);
    let program = fs::read(&payload).with_context(|| format!("read {}", payload.display()))?;
    let entries = [
        Entry::library(PAYLOAD, program),
        Entry::file("assets/vm_config.json", CONFIG),
    ];
    Signer::in_directory(keys)?.build(&entries, &apk)
}
