// SPDX-License-Identifier: Apache-2.0
//! Creations that are refused.

use crate::host::DIRECTORIES;
use avf_aidl::service::{VirtualMachineConfig, VirtualMachineRawConfig};
use rsbinder::ExceptionCode;
use std::fs;
use std::path::Path;
use vmclient::{Error, Manager, Streams};

/// The exception and message of a refused creation.
///
/// # Panics
/// If it is not refused by the manager.
#[must_use]
pub fn refusal(manager: &Manager, config: &VirtualMachineConfig) -> (ExceptionCode, String) {
    match manager.create_vm(config, Streams::default()) {
        Err(Error::Call(call)) => {
            let status = &call.status;
            (
                status.exception_code(),
                status.message().unwrap_or_default().to_owned(),
            )
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// Checks the exception of a refused creation, and that its message has all of `parts`.
///
/// # Panics
/// If one is not as it should be.
pub fn expect(
    manager: &Manager,
    config: VirtualMachineRawConfig,
    code: ExceptionCode,
    parts: &[&str],
) {
    expect_of(
        manager,
        &VirtualMachineConfig::RawConfig(config),
        code,
        parts,
    );
}

/// The same for any config.
///
/// # Panics
/// If one is not as it should be.
pub fn expect_of(
    manager: &Manager,
    config: &VirtualMachineConfig,
    code: ExceptionCode,
    parts: &[&str],
) {
    let (got, message) = refusal(manager, config);
    assert_eq!(got, code, "{message}");
    for part in parts {
        assert!(
            message.contains(part),
            "{message:?} does not contain {part:?}"
        );
    }
}

/// Checks that no VM has a directory.
///
/// # Panics
/// If one has.
pub fn no_directories(root: &Path) {
    for directory in DIRECTORIES {
        let left = fs::read_dir(root.join(directory)).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{directory} is not empty");
    }
}
