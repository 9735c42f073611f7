// SPDX-License-Identifier: Apache-2.0
//! Settings of the environment that concern every VM of a manager.

use avf_wire::Release;
use host::has_raised_privileges;
use std::env;
use std::path::PathBuf;
use std::time::Duration;
use vmm::accel::Acceleration;

/// How long a guest may take until its payload has started, in seconds; 0 for ever.
pub const BOOT_TIMEOUT_VARIABLE: &str = "VIRTMGR_BOOT_TIMEOUT";
/// The release whose interfaces the client speaks, for calls that do not show it.
pub const WIRE_VARIABLE: &str = "VIRTMGR_WIRE";
/// The directory in which memory dumps of guests are kept.
pub const RAMDUMP_VARIABLE: &str = "VIRTMGR_RAMDUMP_DIR";

/// What a Microdroid may take where the CPU runs it, and where its instructions are emulated.
const MICRODROID: [(Acceleration, Duration); 2] = [
    (Acceleration::Kvm, Duration::from_secs(60)),
    (Acceleration::Emulation, Duration::from_secs(300)),
];

/// Settings of the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    boot_timeout: BootTimeout,
    /// The release that the client speaks.
    pub wire: Option<Release>,
    /// Where memory dumps of guests are kept; guests write none if this is absent and the host's
    /// debug policy does not ask for them.
    pub ramdumps: Option<PathBuf>,
}

/// What was said about the time that a boot may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum BootTimeout {
    /// Nothing.
    #[default]
    Usual,
    /// It may take for ever.
    Never,
    /// For every VM.
    After(Duration),
}

/// A setting cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{name}={value}: {what}")]
pub struct Error {
    name: &'static str,
    value: String,
    what: String,
}

impl Settings {
    /// The settings in the environment.
    ///
    /// # Errors
    /// If one has a value that it must not have.
    pub fn of_process() -> Result<Self, Error> {
        Self::read(
            |name| env::var_os(name).filter(|value| !value.is_empty()),
            has_raised_privileges(),
        )
    }

    fn read(get: impl Fn(&str) -> Option<std::ffi::OsString>, raised: bool) -> Result<Self, Error> {
        let boot_timeout = match get(BOOT_TIMEOUT_VARIABLE) {
            None => BootTimeout::Usual,
            Some(value) => {
                let seconds = value.to_str().and_then(|text| text.parse::<u32>().ok());
                let seconds = seconds.ok_or_else(|| Error {
                    name: BOOT_TIMEOUT_VARIABLE,
                    value: value.to_string_lossy().into_owned(),
                    what: "it must be a number of seconds, or 0 for no limit".into(),
                })?;
                match seconds {
                    0 => BootTimeout::Never,
                    _ => BootTimeout::After(Duration::from_secs(seconds.into())),
                }
            }
        };
        let wire = get(WIRE_VARIABLE).map(|value| {
            let value = value.to_string_lossy().into_owned();
            let release: Result<Release, _> = value.parse();
            release.map_err(|e| Error {
                name: WIRE_VARIABLE,
                value,
                what: e.to_string(),
            })
        });
        let wire = wire.transpose()?;
        let ramdumps = get(RAMDUMP_VARIABLE).map(PathBuf::from);
        if let Some(directory) = &ramdumps
            && !directory.is_absolute()
        {
            return Err(Error {
                name: RAMDUMP_VARIABLE,
                value: directory.to_string_lossy().into_owned(),
                what: "it must be the absolute path of a directory".into(),
            });
        }
        if ramdumps.is_some() && raised {
            log::warn!("{RAMDUMP_VARIABLE} is ignored: this program runs with raised privileges");
        }
        Ok(Self {
            boot_timeout,
            wire,
            ramdumps: ramdumps.filter(|_| !raised),
        })
    }

    /// How long a guest may take until its payload has started. Without a setting that is limited
    /// for Microdroid only, which is known to report its payload; other guests need not.
    #[must_use]
    pub fn boot_timeout(&self, is_microdroid: bool, accel: Acceleration) -> Option<Duration> {
        match self.boot_timeout {
            BootTimeout::Never => None,
            BootTimeout::After(time) => Some(time),
            BootTimeout::Usual => MICRODROID
                .iter()
                .find(|(how, _)| is_microdroid && *how == accel)
                .map(|(_, time)| *time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(timeout: &str, directory: &str, raised: bool) -> Result<Settings, Error> {
        Settings::read(
            |name| {
                let value = match name {
                    BOOT_TIMEOUT_VARIABLE => timeout,
                    RAMDUMP_VARIABLE => directory,
                    _ => "",
                };
                Some(value.into()).filter(|_| !value.is_empty())
            },
            raised,
        )
    }

    #[test]
    fn the_release_must_be_built_in() {
        let with = |value: &'static str| {
            Settings::read(
                |name| Some(value.into()).filter(|_| name == WIRE_VARIABLE),
                false,
            )
        };
        let newest = avf_wire::Default::default().release;
        assert_eq!(with(newest.name()).unwrap().wire, Some(newest));
        let error = with("13").unwrap_err().to_string();
        assert!(error.starts_with("VIRTMGR_WIRE=13: "), "{error}");
    }

    #[test]
    fn the_boot_timeout_is_for_microdroid_unless_it_is_set() {
        let usual = settings("", "", false).unwrap();
        let limit = |s: &Settings, microdroid| s.boot_timeout(microdroid, Acceleration::Kvm);
        assert_eq!(limit(&usual, true), Some(Duration::from_secs(60)));
        assert_eq!(limit(&usual, false), None);
        let never = settings("0", "", false).unwrap();
        assert_eq!(limit(&never, true), None);
        let five = settings("5", "", false).unwrap();
        assert_eq!(limit(&five, false), Some(Duration::from_secs(5)));
        for bad in ["-1", "soon", "1.5"] {
            let error = settings(bad, "", false).unwrap_err().to_string();
            assert!(error.starts_with(&format!("VIRTMGR_BOOT_TIMEOUT={bad}:")));
        }
    }

    #[test]
    fn dumps_go_where_a_trusted_caller_says() {
        let given = settings("", "/var/dumps", false).unwrap();
        assert_eq!(given.ramdumps, Some("/var/dumps".into()));
        assert_eq!(settings("", "/var/dumps", true).unwrap().ramdumps, None);
        assert!(settings("", "dumps", false).is_err());
    }
}
