// SPDX-License-Identifier: Apache-2.0
//! The interfaces of Android 15.

crate::release::release! {
    "r15.rs",
    common {}
    service {
        CpuTopology::CpuTopology,
        IVirtualizationService::{
            FEATURE_DICE_CHANGES, FEATURE_MULTI_TENANT, FEATURE_REMOTE_ATTESTATION,
        },
        MemoryTrimLevel::MemoryTrimLevel,
    }
    input_device {}
    service_modules {}
    common_modules {}
    guest {}
    secretkeeper {}
}
