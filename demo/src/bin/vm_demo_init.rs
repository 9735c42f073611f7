// SPDX-License-Identifier: Apache-2.0
//! `vm_demo_init`: the init of a system that has nothing but the demo. It shows what an early VM
//! needs of a system, and that it needs no more: no `/data`, no service, no daemon.
#![forbid(unsafe_code)]

#[path = "../init/mod.rs"]
mod init;

fn main() -> std::process::ExitCode {
    init::main()
}
