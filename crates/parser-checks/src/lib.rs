// SPDX-License-Identifier: Apache-2.0
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a check fails by a panic: that is what tests and fuzzers look for"
)]

mod apk;
mod disks;
mod global;
mod payload;
mod policy;
mod vsock;
mod wire;

use std::fs::File;
use std::io::Write;

/// One parser's check.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name, also that of the fuzz target.
    pub name: &'static str,
    /// Parses the bytes and panics if the result breaks a rule of the parser's.
    pub check: fn(&[u8]),
    /// Valid inputs, from which changed ones are made.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($name:ident: $module:ident),* $(,)?) => {
        /// All checks, in the order of their names.
        pub const TARGETS: &[Target] = &[$(Target {
            name: stringify!($name),
            check: $module::$name::check,
            seeds: $module::$name::seeds,
        }),*];
    };
}

targets! {
    apex_list: payload,
    archive: apk,
    connect_line: vsock,
    create_vm: wire,
    debug_policy: policy,
    early_vms: policy,
    failure_text: policy,
    idsig: apk,
    layout: disks,
    metadata: payload,
    nbd: disks,
    payload_config: payload,
    service_call: global,
    signing_block: apk,
    sparse: disks,
    vbmeta: payload,
    virtqueue: vsock,
    vm_config: policy,
    xml_list: policy,
}

/// The check with this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// A file in memory with these bytes.
fn file(bytes: &[u8]) -> File {
    let fd = rustix::fs::memfd_create("check", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let mut file = File::from(fd);
    file.write_all(bytes).unwrap();
    file
}
