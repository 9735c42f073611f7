// SPDX-License-Identifier: Apache-2.0
//! The init of the emulated device: a machine whose root file system is that of the host that
//! emulates it, and which runs one command and reports how it ended.
//!
//! `cargo xtask device` makes its initramfs and documents it in `docs/device.md`.
#![deny(unsafe_code)]

#[path = "../device/mod.rs"]
mod device;
#[path = "../failure.rs"]
#[allow(dead_code, reason = "the guest's init uses all of it")]
mod failure;
#[path = "../loopback.rs"]
mod loopback;
#[path = "../modules.rs"]
#[allow(dead_code, reason = "the guest's init uses all of it")]
mod modules;

fn main() -> std::process::ExitCode {
    device::main()
}
