// SPDX-License-Identifier: Apache-2.0
//! The demo's APK: the payload, a configuration, and a signature by a key of its own.

use crate::dist::make_dir;
use crate::packages::provide;
use crate::place::Place;
use crate::steps::step;
use anyhow::{Context, Result};
use apk_builder::{Entry, PROGRAMS, Signer};
use std::fs;
use std::path::Path;

/// The payload in it.
const PAYLOAD: &str = "vm_demo_payload";
/// Where it is in the demo's root.
const APK: &str = "root/system/etc/avf/vm_demo/vm_demo.apk";
/// The configuration that names the payload, for clients that give its path.
const CONFIG: &str = r#"{
  "os": { "name": "microdroid" },
  "task": { "type": "executable", "command": "vm_demo_payload" }
}
"#;

/// Makes the APK from the payload that was built.
pub(crate) fn build(place: &Place, payload: &Path) -> Result<()> {
    provide(&PROGRAMS)?;
    step("pack and sign the APK", || {
        let keys = place.target.join("apk");
        make_dir(&keys)?;
        let program = fs::read(payload).with_context(|| format!("read {}", payload.display()))?;
        let entries = [
            Entry::library(PAYLOAD, program),
            Entry::file("assets/vm_config.json", CONFIG),
        ];
        Signer::in_directory(keys)?.build(&entries, &place.dist().join(APK))
    })
}
