// SPDX-License-Identifier: Apache-2.0
//! The demo's APK: the payload, a configuration, and a signature by a key of its own. A program of
//! `apk-builder` makes it, so that this one is built without ZIP archives.

use crate::files::make_dir;
use crate::steps::{run, step};
use crate::workspace::{Workspace, cargo};
use anyhow::Result;
use std::path::Path;

/// Where it is in the demo's root.
const APK: &str = "root/system/etc/avf/vm_demo/vm_demo.apk";

/// Makes the APK from the payload that was built.
pub(crate) fn build(workspace: &Workspace, payload: &Path) -> Result<()> {
    step("pack and sign the APK", || {
        let keys = workspace.target.join("apk");
        make_dir(&keys)?;
        run(cargo()
            .args(["run", "-p", "apk-builder", "--example", "demo_apk", "--"])
            .args([&keys, payload, &workspace.dist().join(APK)])
            .current_dir(&workspace.root))
    })
}
