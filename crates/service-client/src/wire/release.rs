// SPDX-License-Identifier: Apache-2.0
//! Android's releases, and which of them this machine is of.

use super::Form;
use host::Host;
use std::fmt;
use std::str::FromStr;

/// Names the release whose wire is spoken.
pub const WIRE_VARIABLE: &str = "VIRTMGR_WIRE";
/// The names of releases, for messages.
pub const RELEASES: &str = "15, 15-qpr1, 15-qpr2, 16, 16-qpr1, 16-qpr2, 17 or 17.1";

/// A release of Android.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// Android 15, and its QPR1 and QPR2: what the global service is asked is the same.
    Android15,
    /// Android 16 and its QPR1.
    Android16,
    /// Android 16 QPR2.
    Android16Qpr2,
    /// Android 17.
    Android17,
    /// Android 17, minor version 37.1.
    Android17Minor1,
}

/// A name that is not that of a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the release {0:?}: it is not known; name {RELEASES}")]
pub struct UnknownRelease(String);

impl FromStr for Release {
    type Err = UnknownRelease;

    fn from_str(name: &str) -> Result<Self, UnknownRelease> {
        Ok(match name {
            "15" | "15-qpr1" | "15-qpr2" => Self::Android15,
            "16" | "16-qpr1" => Self::Android16,
            "16-qpr2" => Self::Android16Qpr2,
            "17" => Self::Android17,
            "17.1" => Self::Android17Minor1,
            other => return Err(UnknownRelease(other.to_owned())),
        })
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Android15 => "15",
            Self::Android16 => "16",
            Self::Android16Qpr2 => "16-qpr2",
            Self::Android17 => "17",
            Self::Android17Minor1 => "17.1",
        })
    }
}

impl Release {
    /// The form of `IVirtualizationServiceInternal` that it has.
    #[must_use]
    pub fn form(self) -> Form {
        match self {
            Self::Android15 => Form::Android15,
            Self::Android16 => Form::Android16,
            Self::Android16Qpr2 | Self::Android17 | Self::Android17Minor1 => Form::Late16,
        }
    }

    /// The release with this version of Android's interfaces; `full` has a minor number as well.
    fn of_version(sdk: &str, full: Option<&str>) -> Option<Self> {
        let number = |text: &str| text.trim().parse::<u32>().ok();
        let minor = full
            .and_then(|full| full.split_once('.'))
            .filter(|(major, _)| major == &sdk)
            .and_then(|(_, minor)| number(minor))
            .unwrap_or_default();
        match (number(sdk)?, minor) {
            (..35, _) => None,
            (35, _) => Some(Self::Android15),
            (36, 0) => Some(Self::Android16),
            (36, _) => Some(Self::Android16Qpr2),
            (37, 0) => Some(Self::Android17),
            _ => Some(Self::Android17Minor1),
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
        release: Release::Android15,
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

    /// That of a process on this host: what the variable [`WIRE_VARIABLE`] names, else the platform's.
    ///
    /// # Errors
    /// If the variable names no release.
    pub fn of_process(host: &Host) -> Result<Self, UnknownRelease> {
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
        let sdk = host.property("ro.build.version.sdk");
        let full = host.property("ro.build.version.sdk_full");
        sdk.and_then(|sdk| Release::of_version(&sdk, full.as_deref()))
            .map_or(Self::ASSUMED, Self::named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["15", "16", "16-qpr2", "17", "17.1"] {
            assert_eq!(name.parse::<Release>().unwrap().to_string(), name);
        }
        for (name, form) in [
            ("15-qpr1", Form::Android15),
            ("15-qpr2", Form::Android15),
            ("16-qpr1", Form::Android16),
            ("16-qpr2", Form::Late16),
            ("17.1", Form::Late16),
        ] {
            assert_eq!(name.parse::<Release>().unwrap().form(), form, "{name}");
        }
        for name in ["", "14", "16-qpr3", "r16", " 16"] {
            let error = name.parse::<Release>().unwrap_err().to_string();
            assert!(error.contains("name 15, 15-qpr1"), "{error}");
        }
    }

    #[test]
    fn versions_of_platforms() {
        use Release::{Android15, Android16, Android16Qpr2, Android17, Android17Minor1};
        for (sdk, full, release) in [
            ("35", None, Some(Android15)),
            ("36", None, Some(Android16)),
            ("36", Some("36.0"), Some(Android16)),
            ("36", Some("36.1"), Some(Android16Qpr2)),
            // Of another platform: it says nothing.
            ("36", Some("37.1"), Some(Android16)),
            ("37", Some("37.0"), Some(Android17)),
            ("37", Some("37.1"), Some(Android17Minor1)),
            ("38", Some("38.0"), Some(Android17Minor1)),
            ("34", None, None),
            ("", None, None),
            ("x", Some("x.1"), None),
        ] {
            assert_eq!(Release::of_version(sdk, full), release, "{sdk} {full:?}");
        }
    }

    #[test]
    fn of_a_host() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::at(root.path());
        assert_eq!(Wire::of_host(&host), Wire::ASSUMED);
        std::fs::create_dir_all(root.path().join("etc/avf")).unwrap();
        let text = "ro.build.version.sdk=36\nro.build.version.sdk_full=36.1\n";
        std::fs::write(root.path().join("etc/avf/build.prop"), text).unwrap();
        let wire = Wire::of_host(&Host::at(root.path()));
        assert_eq!(wire, Wire::named(Release::Android16Qpr2));
    }
}
