// SPDX-License-Identifier: Apache-2.0
//! `vm_demo_native_early`: runs an early VM whose payload adds two numbers.
#![forbid(unsafe_code)]

#[path = "../host/mod.rs"]
mod host;

fn main() -> std::process::ExitCode {
    host::main()
}
