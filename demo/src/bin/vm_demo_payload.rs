// SPDX-License-Identifier: Apache-2.0
//! `vm_demo_payload`: what runs in the demo's guest. It adds numbers until it is told to quit; for
//! tests it can end in other ways.
#![forbid(unsafe_code)]

#[path = "../payload/mod.rs"]
mod payload;

fn main() -> std::process::ExitCode {
    payload::main()
}
