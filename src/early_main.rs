// SPDX-License-Identifier: Apache-2.0
//! `early_virtmgr`: the VM manager for VMs that start before `/data` is mounted.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    virtmgr::run()
}
