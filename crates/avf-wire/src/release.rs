// SPDX-License-Identifier: Apache-2.0
//! The releases of Android whose interfaces differ, and what differs in the argument of `createVm`.

use std::fmt;
use std::str::FromStr;

/// A release of Android, or a build of its main branch, with interfaces of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Release {
    /// Android 15 (API 35).
    V15,
    /// Android 15 QPR1.
    V15Qpr1,
    /// Android 15 QPR2.
    V15Qpr2,
    /// Android 16 (API 36).
    V16,
    /// Android 16 QPR1 and QPR2 (API 36.1).
    V16Qpr,
    /// Builds of the main branch between 16 QPR2 and 17.
    V16Main,
    /// The first preview of Android 17.
    V17Preview,
    /// Android 17 (API 37.0).
    V17,
    /// Android 17 with API 37.1.
    V17_1,
}

/// Every release, oldest first, with its name and the name for people.
const NAMES: [(Release, &str, &str); 9] = [
    (Release::V15, "15", "Android 15"),
    (Release::V15Qpr1, "15-qpr1", "Android 15 QPR1"),
    (Release::V15Qpr2, "15-qpr2", "Android 15 QPR2"),
    (Release::V16, "16", "Android 16"),
    (Release::V16Qpr, "16-qpr", "Android 16 QPR1/QPR2"),
    (Release::V16Main, "16-main", "Android main after 16 QPR2"),
    (Release::V17Preview, "17-preview", "Android 17 preview"),
    (Release::V17, "17", "Android 17"),
    (Release::V17_1, "17.1", "Android 17 (API 37.1)"),
];

impl Release {
    /// Every release that this crate knows, oldest first.
    pub const ALL: [Self; 9] = [
        Self::V15,
        Self::V15Qpr1,
        Self::V15Qpr2,
        Self::V16,
        Self::V16Qpr,
        Self::V16Main,
        Self::V17Preview,
        Self::V17,
        Self::V17_1,
    ];
    /// The newest one, whose types stand for all.
    pub const NEWEST: Self = Self::V17_1;

    /// The name that options and variables take: `15-qpr1`.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES[self as usize].1
    }

    /// The name for people: `Android 15 QPR1`.
    #[must_use]
    pub const fn title(self) -> &'static str {
        NAMES[self as usize].2
    }

    /// The newest release of an API level, as the properties `ro.build.version.sdk` (`36`) and
    /// `ro.build.version.sdk_full` (`36.1`) say it; none for a level before Android 15.
    #[must_use]
    pub fn of_sdk(level: &str) -> Option<Self> {
        let mut numbers = level.trim().splitn(2, '.');
        let major: u32 = numbers.next()?.parse().ok()?;
        let minor: u32 = numbers.next().map_or(Ok(0), str::parse).ok()?;
        match (major, minor) {
            (..=34, _) => None,
            (35, _) => Some(Self::V15Qpr2),
            (36, 0) => Some(Self::V16),
            (36, _) => Some(Self::V16Qpr),
            (37, 0) => Some(Self::V17),
            _ => Some(Self::V17_1),
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text names no release that is built in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a release whose wire is built in; give one of: {}", built().map(Release::name).collect::<Vec<_>>().join(", "))]
pub struct UnknownRelease {
    given: String,
}

impl FromStr for Release {
    type Err = UnknownRelease;

    fn from_str(text: &str) -> Result<Self, UnknownRelease> {
        built()
            .find(|release| release.name() == text)
            .ok_or_else(|| UnknownRelease { given: text.into() })
    }
}

/// The releases that are built in, oldest first.
pub fn built() -> impl Iterator<Item = Release> {
    LAYOUTS.iter().map(|layout| layout.release)
}

/// Fields, and forms of fields, that not every release has.
pub(crate) mod field {
    /// A set of them.
    pub(crate) type Set = u64;

    macro_rules! sets {
        ($($(#[$doc:meta])* $name:ident,)*) => { sets!(@ 0; $($(#[$doc])* $name,)*); };
        (@ $at:expr; $(#[$doc:meta])* $name:ident, $($rest:tt)*) => {
            $(#[$doc])* pub(crate) const $name: Set = 1 << ($at);
            sets!(@ $at + 1; $($rest)*);
        };
        (@ $at:expr;) => {};
    }

    sets! {
        /// `RawConfig.audioConfig` and `usbConfig`; more input devices; GUIDs of partitions; the
        /// console's name in `VirtualMachineDebugInfo`; `CustomConfig.extraKernelCmdlineParams`.
        QPR1,
        /// `RawConfig.noBalloon`.
        NO_BALLOON,
        /// Shared paths, services of the TEE, a descriptor for the device tree.
        QPR2,
        /// `SharedPath.socketFd` and `appDomain`.
        SHARED_SOCKET,
        /// `CpuOptions` where earlier releases have an enum; `swiotlbMib`, `balloon`,
        /// `enableHypervisorSpecificAuthMethod`, `customMemoryBackingFiles`; the VM's name in
        /// `VirtualMachineDebugInfo`.
        V16,
        /// `hostServices`.
        HOST_SERVICES,
        /// `RawConfig.osName`, `customPvmfw`, `allowVgicItsInPvm`.
        OS_NAME,
        /// `RawConfig.pflash` and `smbiosOptions`; ids of disks; a socket for Wayland; USB devices;
        /// tenants and the key of the encrypted store in an app config.
        V17_PREVIEW,
        /// `ramdump`; `AppConfig.autoStartAdbd`.
        V17,
        /// Devices by selectors; `deviceTreeOverlay`, `profileName`, `enableSecretkeeper`; the
        /// instance id in `VirtualMachineDebugInfo`.
        V17_1,
    }
}

/// A form of `createVm`'s arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) release: Release,
    pub(crate) fields: field::Set,
}

macro_rules! layouts {
    ($($feature:literal: $release:ident = $($field:ident)|*;)*) => {
        /// The forms that are built in, oldest first.
        pub(crate) static LAYOUTS: &[Layout] = &[$(
            #[cfg(feature = $feature)]
            Layout { release: Release::$release, fields: 0 $(| field::$field)* },
        )*];
        /// What any of them has, and what all of them have: code for the rest is not compiled in.
        pub(crate) const ANY: field::Set = {
            let mut any = 0;
            $(#[cfg(feature = $feature)] { any |= 0 $(| field::$field)*; })*
            any
        };
        pub(crate) const ALL: field::Set = {
            let mut all = field::Set::MAX;
            $(#[cfg(feature = $feature)] { all &= 0 $(| field::$field)*; })*
            all
        };
    };
}

layouts! {
    "wire-15": V15 =;
    "wire-15": V15Qpr1 = QPR1 | NO_BALLOON;
    "wire-15": V15Qpr2 = QPR1 | NO_BALLOON | QPR2 | SHARED_SOCKET;
    "wire-16": V16 = QPR1 | QPR2 | SHARED_SOCKET | V16;
    "wire-16": V16Qpr = QPR1 | QPR2 | SHARED_SOCKET | V16 | HOST_SERVICES;
    "wire-16": V16Main = QPR1 | QPR2 | SHARED_SOCKET | V16 | HOST_SERVICES | OS_NAME;
    "wire-17": V17Preview = QPR1 | QPR2 | V16 | HOST_SERVICES | OS_NAME | V17_PREVIEW;
    "wire-17": V17 = QPR1 | QPR2 | V16 | HOST_SERVICES | OS_NAME | V17_PREVIEW | V17;
    "wire-17": V17_1 = QPR1 | QPR2 | V16 | HOST_SERVICES | OS_NAME | V17_PREVIEW | V17 | V17_1;
}

#[cfg(not(any(feature = "wire-15", feature = "wire-16", feature = "wire-17")))]
compile_error!("switch at least one of the features wire-15, wire-16 and wire-17 on");

/// The form of a release that is built in.
pub(crate) fn layout(release: Release) -> Option<&'static Layout> {
    LAYOUTS.iter().find(|layout| layout.release == release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_releases() {
        for (at, (release, name, _)) in NAMES.into_iter().enumerate() {
            assert_eq!(release as usize, at);
            assert_eq!(release, Release::ALL[at]);
            assert_eq!(release.name(), name);
        }
        for release in built() {
            assert_eq!(release.name().parse(), Ok(release));
        }
        let error = "14".parse::<Release>().unwrap_err().to_string();
        assert!(error.starts_with("\"14\" is not a release"), "{error}");
    }

    #[test]
    fn api_levels_choose_the_newest_release_of_theirs() {
        for (level, release) in [
            ("34", None),
            ("35", Some(Release::V15Qpr2)),
            ("36", Some(Release::V16)),
            ("36.1", Some(Release::V16Qpr)),
            ("37.0", Some(Release::V17)),
            ("37.1", Some(Release::V17_1)),
            ("40", Some(Release::V17_1)),
            ("", None),
            ("37.x", None),
        ] {
            assert_eq!(Release::of_sdk(level), release, "{level}");
        }
    }
}
