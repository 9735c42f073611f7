// SPDX-License-Identifier: Apache-2.0
//! Starting a program where the kernel refuses to have it watched.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use rustix::process::{WaitOptions, wait};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::collections::BTreeMap;
use vmm::Error;
use vmm::launch::Launch;

/// Has `pidfd_open` fail on this thread from now on.
fn refuse_pidfds() {
    let rules = BTreeMap::from([(libc::SYS_pidfd_open, Vec::new())]);
    let errno = SeccompAction::Errno(libc::EMFILE.cast_unsigned());
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, errno, arch).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

#[test]
fn a_child_without_a_pidfd_is_killed_and_reaped() {
    std::thread::spawn(|| {
        refuse_pidfds();
        let mut launch = Launch::new("/bin/sh".into());
        launch.args(["-c", "sleep 1000 & wait"]);
        let error = launch.spawn().unwrap_err();
        assert!(matches!(error, Error::Pidfd { .. }), "{error}");
        assert_eq!(error.to_string(), "cannot watch /bin/sh by a pidfd");
        let cause = std::error::Error::source(&error).unwrap();
        assert_eq!(
            cause.to_string(),
            "Too many open files (os error 24); raise the limit on descriptors (ulimit -n)"
        );
        // It was the one child of this process.
        assert_eq!(
            wait(WaitOptions::NOHANG).err(),
            Some(rustix::io::Errno::CHILD),
            "a child is left"
        );
    })
    .join()
    .unwrap();
}
