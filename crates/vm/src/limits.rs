// SPDX-License-Identifier: Apache-2.0
//! Limits on this process and its children.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::SIGXFSZ;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Descriptors that a manager and its VMM have enough of, as most systems allow from the start.
const OPEN_FILES: u64 = 1024;

/// Has limits harm as little as they can, for this program and the managers that it starts. What
/// fails here only leaves a limit as it is, and whoever meets it says so.
pub(crate) fn prepare() {
    // A file that grows over its limit fails with EFBIG, which says what is wrong; without the handler
    // the signal would end this program.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    let limit = getrlimit(Resource::Nofile);
    let allowed = limit.maximum.unwrap_or(OPEN_FILES).min(OPEN_FILES);
    if limit.current.is_some_and(|current| current < allowed) {
        let raised = Rlimit {
            current: Some(allowed),
            maximum: limit.maximum,
        };
        let _ = setrlimit(Resource::Nofile, raised);
    }
}
