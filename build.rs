// SPDX-License-Identifier: Apache-2.0
//! Turns the features `full` and `early` into one switch, `cfg(early)`: with both, which is what
//! `--all-features` gives, the program is the early one.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(early)");
    println!("cargo::rerun-if-changed=build.rs");
    let is_set = |name: &str| std::env::var_os(format!("CARGO_FEATURE_{name}")).is_some();
    if is_set("EARLY") {
        println!("cargo::rustc-cfg=early");
    } else if !is_set("FULL") {
        println!(
            "cargo::error=one of the features `full` and `early` is needed: build virtmgr with \
             `cargo build` and early_virtmgr with `cargo build --features early --bin early_virtmgr`"
        );
    }
}
