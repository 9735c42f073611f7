// SPDX-License-Identifier: Apache-2.0
//! Turns the features `full` and `early` into one switch, `cfg(early)`, and refuses what cannot be.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(early)");
    println!("cargo::rerun-if-changed=build.rs");
    let set = |name: &str| std::env::var_os(format!("CARGO_FEATURE_{name}")).is_some();
    match (set("FULL"), set("EARLY")) {
        (true, false) => {}
        (false, true) => println!("cargo::rustc-cfg=early"),
        (true, true) => refuse("the features `full` and `early` exclude each other"),
        (false, false) => refuse("one of the features `full` and `early` is needed"),
    }
}

/// Fails the build with the commands that are right.
fn refuse(why: &str) {
    println!(
        "cargo::error={why}: build virtmgr with `cargo build -p virtmgr` and early_virtmgr with \
         `cargo build -p virtmgr --no-default-features --features early`"
    );
}
