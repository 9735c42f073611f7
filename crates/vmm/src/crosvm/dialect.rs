// SPDX-License-Identifier: Apache-2.0
//! What crosvm knows on which platform. An option that a platform's crosvm does not know would end
//! it at once, so these are left out there.

use crate::Arch;
use crate::plan::{Display, Gpu};

/// The system that crosvm was built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// Android, with its display and audio services.
    Android,
    /// Any other Linux.
    Linux,
}

/// One platform's crosvm.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// The processor.
    pub arch: Arch,
    /// `--swiotlb`, and protected VMs at all: the buffer is their way to devices.
    pub swiotlb: bool,
    /// `--virt-cpufreq`.
    pub virt_cpufreq: bool,
    /// `--android-display-service`.
    pub display_service: bool,
    /// The backend of `--virtio-snd` that makes sounds.
    pub audio_backend: Option<&'static str>,
    /// Whether there is a system log to write to. Where there is none, crosvm complains of that in
    /// each of its processes; all that it says comes over its standard error, too.
    pub syslog: bool,
    /// How a display is given.
    pub display: fn(&Display, Option<&Gpu>) -> Vec<String>,
}

impl Dialect {
    /// The table.
    ///
    /// | option | Android arm64 | Android x86-64 | Linux arm64 | Linux x86-64 |
    /// | --- | --- | --- | --- | --- |
    /// | `--swiotlb` | yes | - | yes | - |
    /// | `--virt-cpufreq` | yes | - | yes | - |
    /// | `--android-display-service` | yes | yes | - | - |
    /// | `--no-syslog` | - | - | yes | yes |
    /// | `--virtio-snd` | aaudio | aaudio | - | - |
    /// | `--gpu-display` | yes | yes | as `--gpu=displays=[..]` | as `--gpu=displays=[..]` |
    #[must_use]
    pub fn of(platform: Platform, arch: Arch) -> Self {
        let arm = arch == Arch::Aarch64;
        let android = platform == Platform::Android;
        Self {
            arch,
            swiotlb: arm,
            virt_cpufreq: arm,
            display_service: android,
            syslog: android,
            audio_backend: android.then_some("aaudio"),
            display: if android {
                super::devices::gpu_display
            } else {
                super::devices::gpu_with_displays
            },
        }
    }
}
