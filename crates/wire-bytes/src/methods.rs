// SPDX-License-Identifier: Apache-2.0
//! Codes of methods by release, typed from the contract.

use crate::layout::Layout;

/// `IVirtualizationService`.
pub const SERVICE: &str = "android.system.virtualizationservice.IVirtualizationService";
/// `IVirtualMachine`.
pub const MACHINE: &str = "android.system.virtualizationservice.IVirtualMachine";
/// `IVirtualMachineCallback`.
pub const CALLBACK: &str = "android.system.virtualizationservice.IVirtualMachineCallback";

/// Columns: 15 to 15 QPR2; 16 and the preview of 17; 17 and 17.1. 0 where it does not exist.
const SERVICE_METHODS: &[(&str, [u32; 3])] = &[
    ("createVm", [1, 1, 1]),
    ("allocateInstanceId", [2, 2, 2]),
    ("initializeWritablePartition", [3, 3, 3]),
    ("setEncryptedStorageSize", [0, 4, 4]),
    ("createOrUpdateIdsigFile", [4, 5, 5]),
    ("debugListVms", [5, 6, 6]),
    ("getAssignableDevices", [6, 7, 7]),
    ("getSupportedOSList", [7, 8, 8]),
    ("getDebugPolicy", [0, 9, 9]),
    ("isFeatureEnabled", [8, 10, 10]),
    ("enableTestAttestation", [9, 11, 11]),
    ("isRemoteAttestationSupported", [10, 12, 12]),
    ("isUpdatableVmSupported", [11, 13, 13]),
    ("removeVmInstance", [12, 14, 14]),
    ("claimVmInstance", [13, 15, 15]),
    ("startOrStopAdbd", [0, 0, 16]),
    ("requestShutdown", [0, 0, 17]),
];

/// Columns: 15; 15 QPR1; 15 QPR2; 16; 16 QPR2; 17 and its preview; 17.1.
const MACHINE_METHODS: &[(&str, [u32; 7])] = &[
    ("getCid", [1, 1, 1, 1, 1, 1, 1]),
    ("getState", [2, 2, 2, 2, 2, 2, 2]),
    ("registerCallback", [3, 3, 3, 3, 3, 3, 3]),
    ("unregisterCallback", [0, 0, 0, 0, 0, 0, 4]),
    ("start", [4, 4, 4, 4, 4, 4, 5]),
    ("stop", [5, 5, 5, 5, 5, 5, 6]),
    ("onTrimMemory", [6, 0, 0, 0, 0, 0, 0]),
    ("isMemoryBalloonEnabled", [0, 0, 0, 6, 6, 6, 7]),
    ("getMemoryBalloon", [0, 6, 6, 7, 7, 0, 0]),
    ("getActualMemoryBalloonBytes", [0, 0, 0, 0, 0, 7, 8]),
    ("setMemoryBalloon", [0, 7, 7, 8, 8, 8, 9]),
    ("connectVsock", [7, 8, 8, 9, 9, 9, 10]),
    ("createAccessorBinder", [0, 0, 9, 10, 10, 10, 11]),
    ("setHostConsoleName", [0, 9, 10, 11, 11, 11, 12]),
    ("suspend", [0, 10, 11, 12, 12, 12, 13]),
    ("resume", [0, 11, 12, 13, 13, 13, 14]),
    ("getDebugInfo", [0, 0, 0, 0, 14, 14, 15]),
    ("addMemoryToGuest", [0, 0, 0, 0, 0, 15, 16]),
    ("removeMemoryFromGuest", [0, 0, 0, 0, 0, 16, 17]),
    ("getGuestAgent", [0, 0, 0, 0, 0, 17, 0]),
    ("getGuestAgentPort", [0, 0, 0, 0, 0, 0, 18]),
    ("addDisplay", [0, 0, 0, 0, 0, 18, 19]),
    ("removeDisplay", [0, 0, 0, 0, 0, 19, 20]),
    ("getDisplays", [0, 0, 0, 0, 0, 20, 21]),
];

impl Layout {
    /// The code of a method of `IVirtualizationService`; none if the release does not have it.
    #[must_use]
    pub fn service_code(self, method: &str) -> Option<u32> {
        let column = match self {
            Self::A15 | Self::A15Qpr1 | Self::A15Qpr2 => 0,
            Self::A16 | Self::A16Hs | Self::A16Main | Self::A17R1 => 1,
            Self::A17 | Self::A17_1 => 2,
        };
        code(SERVICE_METHODS, method, column)
    }

    /// The code of a method of `IVirtualMachine`; none if the release does not have it.
    #[must_use]
    pub fn machine_code(self, method: &str) -> Option<u32> {
        let column = match self {
            Self::A15 => 0,
            Self::A15Qpr1 => 1,
            Self::A15Qpr2 => 2,
            Self::A16 => 3,
            Self::A16Hs | Self::A16Main => 4,
            Self::A17R1 | Self::A17 => 5,
            Self::A17_1 => 6,
        };
        code(MACHINE_METHODS, method, column)
    }
}

fn code<const N: usize>(methods: &[(&str, [u32; N])], method: &str, column: usize) -> Option<u32> {
    let found = methods.iter().find(|(name, _)| *name == method);
    let (_, codes) = found.unwrap_or_else(|| panic!("no release has {method}"));
    Some(codes[column]).filter(|code| *code != 0)
}
