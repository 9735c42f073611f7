// SPDX-License-Identifier: Apache-2.0
//! Generates the bindings of the demo's own interface.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The generator names every file it read to Cargo, but not this script.
    println!("cargo::rerun-if-changed=build.rs");
    let generated = rsbinder_aidl::Builder::new()
        .include_dir("aidl")
        .source("aidl/com/android/virt/vm_demo")
        .output("demo.rs")
        .generate();
    match generated {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The report's Debug form is the one with file, line and text.
            eprintln!("{:?}", miette::Report::new(error));
            ExitCode::FAILURE
        }
    }
}
