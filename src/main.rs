// SPDX-License-Identifier: Apache-2.0
//! `virtmgr`: the VM manager of a running system.
#![forbid(unsafe_code)]

#[cfg(not(early))]
fn main() -> std::process::ExitCode {
    virtmgr::run()
}

/// With the feature `early` the library is that of `early_virtmgr`, which must not go by this name.
#[cfg(early)]
fn main() -> std::process::ExitCode {
    virtmgr::refuse(
        "virtmgr was built with the feature `early`; build it without: cargo build --bin virtmgr",
    )
}
