// SPDX-License-Identifier: Apache-2.0
//! `virtmgr`: the VM manager of a running system.
#![forbid(unsafe_code)]

#[cfg(early)]
compile_error!("virtmgr is built without the feature `early`: cargo build -p virtmgr");

fn main() -> std::process::ExitCode {
    virtmgr::run()
}
