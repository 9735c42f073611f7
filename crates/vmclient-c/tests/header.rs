// SPDX-License-Identifier: Apache-2.0
//! The header is what the source says, in C and in C++.
#![allow(clippy::unwrap_used, reason = "what a test sets up must be there")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn header() -> PathBuf {
    crate_dir().join("include/vmclient.h")
}

fn generated() -> String {
    let config = cbindgen::Config::from_file(crate_dir().join("cbindgen.toml")).unwrap();
    let bindings = cbindgen::Builder::new()
        .with_src(crate_dir().join("src/lib.rs"))
        .with_config(config)
        .generate()
        .unwrap();
    let mut text = Vec::new();
    bindings.write(&mut text);
    // A heading that Rust wants; in C, what is below it is just the rest of the description.
    String::from_utf8(text)
        .unwrap()
        .replace(" * # Safety\n *\n", "")
}

#[test]
fn the_header_is_that_of_the_source() {
    let kept = std::fs::read_to_string(header()).unwrap();
    assert!(
        kept == generated(),
        "include/vmclient.h is out of date: \
         cargo test -p vmclient-c --test header -- --ignored write_the_header"
    );
}

#[test]
#[ignore = "writes include/vmclient.h anew, after a change of the source"]
fn write_the_header() {
    std::fs::write(header(), generated()).unwrap();
}

/// Compiles a program that includes nothing but the header, so that it cannot lean on another.
fn compiles(compiler: &str, options: &[&str], source: &str) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(source);
    std::fs::write(
        &file,
        "#include <vmclient.h>\n#include <vmclient.h>\n\
         static void hear(int code, const char *message, void *ctx) { (void)code; (void)message; (void)ctx; }\n\
         int main(void) {\n\
           avf_error_callback callback = hear;\n\
           return get_virtualization_service(callback, 0) + get_early_virtualization_service(0, 0) +\n\
                  avf_start_manager(\"virtmgr\", hear, 0);\n\
         }\n",
    )
    .unwrap();
    let output = Command::new(compiler)
        .args(options)
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c", "-o"])
        .arg(dir.path().join("program.o"))
        .arg("-I")
        .arg(crate_dir().join("include"))
        .arg(&file)
        .output();
    match output {
        Ok(output) => assert!(
            output.status.success(),
            "{compiler} {options:?}:\n{}",
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(e) => skip::skip!("{compiler}: {e}"),
    }
}

#[test]
fn c_compilers_take_the_header() {
    for standard in ["-std=c99", "-std=c17"] {
        compiles("cc", &[standard], "program.c");
    }
}

#[test]
fn cpp_compilers_take_the_header() {
    for standard in ["-std=c++11", "-std=c++20"] {
        compiles("g++", &[standard], "program.cpp");
    }
}
