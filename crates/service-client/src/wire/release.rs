// SPDX-License-Identifier: Apache-2.0
//! Which release's form of the interface is spoken.

use super::Form;
use avf_wire::{Release, UnknownRelease};
use host::Host;

/// Names the release that managers speak whose calls do not show it.
pub const WIRE_VARIABLE: &str = "VIRTMGR_WIRE";

impl From<Release> for Form {
    fn from(release: Release) -> Self {
        match release {
            Release::V15 | Release::V15Qpr1 | Release::V15Qpr2 => Self::Android15,
            Release::V16 => Self::Android16,
            // Android 16 QPR1 has the form of 16, and its version too.
            Release::V16Qpr
            | Release::V16Main
            | Release::V17Preview
            | Release::V17
            | Release::V17_1 => Self::Late16,
        }
    }
}

/// Which release is spoken where nothing else tells, and whether somebody said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wire {
    /// The release.
    pub release: Release,
    /// Whether an option, the environment or the platform names it; it is assumed otherwise.
    pub is_named: bool,
}

impl Wire {
    /// What is assumed.
    pub const ASSUMED: Self = Self {
        release: Release::V15Qpr1,
        is_named: false,
    };

    /// This release, and no guess.
    #[must_use]
    pub fn named(release: Release) -> Self {
        Self {
            release,
            is_named: true,
        }
    }

    /// That of the variable [`WIRE_VARIABLE`], else of the platform.
    ///
    /// # Errors
    /// If the variable names no release.
    pub fn of_environment(host: &Host) -> Result<Self, UnknownRelease> {
        match std::env::var_os(WIRE_VARIABLE) {
            Some(name) if !name.is_empty() => {
                let release = name.to_string_lossy().parse()?;
                Ok(Self::named(release))
            }
            _ => Ok(Self::of_host(host)),
        }
    }

    /// That of this host's platform, by its properties.
    #[must_use]
    pub fn of_host(host: &Host) -> Self {
        let level = host.api_level();
        level
            .as_deref()
            .and_then(Release::of_sdk)
            .map_or(Self::ASSUMED, Self::named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_host() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Wire::of_host(&Host::at(root.path())), Wire::ASSUMED);
        std::fs::create_dir_all(root.path().join("etc/avf")).unwrap();
        for (level, form) in [
            ("35", Form::Android15),
            ("36", Form::Android16),
            ("36.0", Form::Android16),
            ("36.1", Form::Late16),
            ("37.0", Form::Late16),
        ] {
            let text = format!("ro.build.version.sdk={level}\n");
            std::fs::write(root.path().join("etc/avf/build.prop"), text).unwrap();
            let wire = Wire::of_host(&Host::at(root.path()));
            assert!(wire.is_named);
            assert_eq!(Form::from(wire.release), form, "{level}");
        }
    }
}
