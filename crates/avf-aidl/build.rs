// SPDX-License-Identifier: Apache-2.0
//! Generates the bindings from the `.aidl` files in `aidl`, which the directory of that name at the top
//! of the repository points to.

use std::path::Path;
use std::process::ExitCode;

/// Packages every manager, client and guest needs; what these import comes along by itself.
const BASE: [&str; 3] = [
    "android/system/virtualizationcommon",
    "android/system/virtualizationservice",
    "android/system/virtualmachineservice",
];

/// Packages of the feature `full`.
const FULL: [&str; 5] = [
    "android/content/pm",
    "android/os",
    "android/system/virtualizationmaintenance",
    "android/system/virtualizationservice_internal",
    "android/system/vmtethering",
];

fn main() -> ExitCode {
    let root = Path::new("aidl");
    let full = std::env::var_os("CARGO_FEATURE_FULL").is_some();
    let packages = BASE.iter().chain(if full { FULL.as_slice() } else { &[] });

    let mut builder = rsbinder_aidl::Builder::new()
        .include_dir(root)
        .output("avf.rs");
    for package in packages {
        builder = builder.source(root.join(package));
    }
    // The generator names every directory and file it read to Cargo, but not this script.
    println!("cargo::rerun-if-changed=build.rs");
    match builder.generate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The report's Debug form is the one with file, line and text.
            eprintln!("{:?}", miette::Report::new(error));
            ExitCode::FAILURE
        }
    }
}
