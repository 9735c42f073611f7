// SPDX-License-Identifier: Apache-2.0
//! The layouts of createVm's arguments.

use crate::schema::{Parcelable, Type, Union};
use crate::tables::{app, parts};
use crate::value::Value;

/// A layout of createVm's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layout {
    /// Android 15.
    A15,
    /// Android 15 QPR1.
    A15Qpr1,
    /// Android 15 QPR2.
    A15Qpr2,
    /// Android 16.
    A16,
    /// Android 16 with `hostServices` at the end: its QPRs.
    A16Hs,
    /// The main branch after that: with `osName`, `customPvmfw`, `allowVgicItsInPvm`.
    A16Main,
    /// The preview of Android 17.
    A17R1,
    /// Android 17.
    A17,
    /// Android 17, minor release 1.
    A17_1,
}

impl Layout {
    /// All of them, from old to new.
    pub const ALL: [Self; 9] = [
        Self::A15,
        Self::A15Qpr1,
        Self::A15Qpr2,
        Self::A16,
        Self::A16Hs,
        Self::A16Main,
        Self::A17R1,
        Self::A17,
        Self::A17_1,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::A15 => "15",
            Self::A15Qpr1 => "15-qpr1",
            Self::A15Qpr2 => "15-qpr2",
            Self::A16 => "16",
            Self::A16Hs => "16+hs",
            Self::A16Main => "16-main",
            Self::A17R1 => "17-r1",
            Self::A17 => "17",
            Self::A17_1 => "17.1",
        }
    }

    /// `VirtualMachineConfig`.
    #[must_use]
    pub fn config(self) -> &'static Union {
        match self {
            Self::A15 => &app::CONFIG_15,
            Self::A15Qpr1 => &app::CONFIG_15_QPR1,
            Self::A15Qpr2 => &app::CONFIG_15_QPR2,
            Self::A16 => &app::CONFIG_16,
            Self::A16Hs => &app::CONFIG_16_HS,
            Self::A16Main => &app::CONFIG_16_MAIN,
            Self::A17R1 => &app::CONFIG_17_R1,
            Self::A17 => &app::CONFIG_17,
            Self::A17_1 => &app::CONFIG_17_1,
        }
    }

    /// `VirtualMachineAppConfig`, tag 0 of the config.
    #[must_use]
    pub fn app_config(self) -> &'static Parcelable {
        self.kind(APP_CONFIG)
    }

    /// `VirtualMachineRawConfig`, tag 1 of the config.
    #[must_use]
    pub fn raw_config(self) -> &'static Parcelable {
        self.kind(RAW_CONFIG)
    }

    fn kind(self, tag: usize) -> &'static Parcelable {
        match &self.config().fields[tag].ty {
            Type::Parcelable(parcelable) => parcelable,
            other => panic!("a config is a parcelable, not {other:?}"),
        }
    }

    /// `VirtualMachineDebugInfo`.
    #[must_use]
    pub fn debug_info(self) -> &'static Parcelable {
        match self {
            Self::A15 => &parts::DEBUG_INFO_15,
            Self::A15Qpr1 | Self::A15Qpr2 => &parts::DEBUG_INFO_15_QPR1,
            Self::A17_1 => &parts::DEBUG_INFO_17_1,
            _ => &parts::DEBUG_INFO_16,
        }
    }

    /// How many descriptors follow the config, each of which may be null: consoleOutFd, consoleInFd,
    /// osLogFd and, from 15 QPR2 on, dumpDtFd.
    #[must_use]
    pub fn files(self) -> usize {
        match self {
            Self::A15 | Self::A15Qpr1 => 3,
            _ => 4,
        }
    }

    /// Whether createVm's arguments with `config`, in this layout, mean the same in `other`.
    #[must_use]
    pub fn reads_alike(self, other: Self, config: &Value) -> bool {
        let ours = Type::Union(self.config());
        self.files() == other.files() && ours.reads_alike(&Type::Union(other.config()), config)
    }
}

/// The tag of an app config.
pub const APP_CONFIG: usize = 0;
/// The tag of a raw config.
pub const RAW_CONFIG: usize = 1;
