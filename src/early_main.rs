// SPDX-License-Identifier: Apache-2.0
//! `early_virtmgr`: the VM manager for VMs that start before `/data` is mounted.
#![forbid(unsafe_code)]

#[cfg(not(early))]
compile_error!(
    "early_virtmgr is built with: cargo build -p virtmgr --no-default-features --features early"
);

fn main() -> std::process::ExitCode {
    virtmgr::run()
}
