// SPDX-License-Identifier: Apache-2.0
//! `vm check-feature-enabled`.

use crate::cli::FeatureArgs;
use crate::{manager, out};
use anyhow::Result;
use std::process::ExitCode;
use vmclient::avf_aidl::service::{
    FEATURE_ADVANCE_MULTITENANCY, FEATURE_LLPVM_CHANGES, FEATURE_NETWORK, FEATURE_VENDOR_MODULES,
};

/// How the names of features begin.
const PREFIX: &str = "com.android.kvm.";
/// The features that the interface names, in any of its releases.
pub(crate) const KNOWN: [&str; 7] = [
    FEATURE_ADVANCE_MULTITENANCY,
    "com.android.kvm.DICE_CHANGES",
    FEATURE_LLPVM_CHANGES,
    "com.android.kvm.MULTI_TENANT",
    FEATURE_NETWORK,
    "com.android.kvm.REMOTE_ATTESTATION",
    FEATURE_VENDOR_MODULES,
];

/// Asks whether a feature is enabled. The exit status is 1 if not, and 2 on errors.
pub(crate) fn check(args: &FeatureArgs) -> Result<ExitCode> {
    match ask(args) {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        Err(e) => {
            out::tell_error(&e);
            Ok(ExitCode::from(2))
        }
    }
}

fn ask(args: &FeatureArgs) -> Result<bool> {
    let name = full(&args.feature);
    let program = manager::locate(&args.manager, args.early)?;
    let manager = manager::start_quietly(&program, &args.manager)?;
    let enabled = manager
        .service()
        .isFeatureEnabled(&name)
        .map_err(|status| manager::refused("isFeatureEnabled", status))?;
    let word = if enabled { "enabled" } else { "not enabled" };
    out::print(&format!("{name} is {word}\n"))?;
    if !KNOWN.contains(&&*name) {
        let names: Vec<&str> = KNOWN.iter().map(|name| short(name)).collect();
        out::tell(&format!(
            "{name} is not a feature that this version knows; it knows {}",
            names.join(", ")
        ));
    }
    Ok(enabled)
}

/// A feature's name without what all have.
pub(crate) fn short(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

fn full(name: &str) -> String {
    if name.contains('.') {
        name.to_owned()
    } else {
        format!("{PREFIX}{}", name.to_ascii_uppercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_may_be_left_out() {
        assert_eq!(full("network"), FEATURE_NETWORK);
        assert_eq!(full(FEATURE_NETWORK), FEATURE_NETWORK);
        assert_eq!(short(FEATURE_NETWORK), "NETWORK");
    }
}
