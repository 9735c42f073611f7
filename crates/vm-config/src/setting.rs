// SPDX-License-Identifier: Apache-2.0
//! The settings of a VM that are single values.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::document::object;
use crate::error::{ValueError, shorten};

/// A size of memory in MiB, from 1 to `i32::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MemoryMib(i32);

impl MemoryMib {
    /// The size in MiB.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.unsigned_abs()
    }

    /// The size in MiB, as the parcelable has it.
    pub(crate) fn as_i32(self) -> i32 {
        self.0
    }
}

impl TryFrom<i64> for MemoryMib {
    type Error = ValueError;

    fn try_from(mib: i64) -> Result<Self, ValueError> {
        match i32::try_from(mib) {
            Ok(small) if small > 0 => Ok(Self(small)),
            _ => Err(ValueError::Memory(mib)),
        }
    }
}

impl<'de> Deserialize<'de> for MemoryMib {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Names the expected value in errors, where derived code would say "i64".
        struct Mib;

        impl Visitor<'_> for Mib {
            type Value = MemoryMib;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number of MiB from 1 to {}", i32::MAX)
            }

            fn visit_i64<E: de::Error>(self, mib: i64) -> Result<MemoryMib, E> {
                MemoryMib::try_from(mib).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, mib: u64) -> Result<MemoryMib, E> {
                match i64::try_from(mib) {
                    Ok(mib) => self.visit_i64(mib),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Unsigned(mib), &self)),
                }
            }
        }

        deserializer.deserialize_i64(Mib)
    }
}

/// A SemVer requirement on the virtual platform's version, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct PlatformVersion(String);

/// The first version, which is the only one so far.
impl Default for PlatformVersion {
    fn default() -> Self {
        Self("~1.0".to_owned())
    }
}

impl PlatformVersion {
    /// The requirement.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PlatformVersion {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Self, ValueError> {
        match semver::VersionReq::parse(&text) {
            Ok(_) => Ok(Self(text)),
            Err(error) => Err(ValueError::PlatformVersion {
                text: shorten(&text),
                reason: error.to_string(),
            }),
        }
    }
}

/// The guest's device on which console input arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsoleInputDevice {
    /// The first virtio console.
    #[serde(rename = "hvc0")]
    Hvc0,
    /// The first serial port.
    #[serde(rename = "ttyS0")]
    TtyS0,
}

impl ConsoleInputDevice {
    /// The device's name in the guest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hvc0 => "hvc0",
            Self::TtyS0 => "ttyS0",
        }
    }
}

/// USB in the VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct UsbConfig {
    /// Whether there is a USB controller.
    pub controller: bool,
}

impl<'de> Deserialize<'de> for UsbConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            controller: bool,
        }
        let Fields { controller } = object(deserializer, "an object with USB settings")?;
        Ok(Self { controller })
    }
}
