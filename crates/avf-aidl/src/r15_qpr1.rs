// SPDX-License-Identifier: Apache-2.0
//! The interfaces of Android 15 QPR1.

crate::release::release! {
    "r15_qpr1.rs",
    common {}
    service {
        CpuTopology::CpuTopology,
        IVirtualizationService::{
            FEATURE_DICE_CHANGES, FEATURE_MULTI_TENANT, FEATURE_REMOTE_ATTESTATION,
        },
        AudioConfig::AudioConfig,
        UsbConfig::UsbConfig,
    }
    input_device {
        Switches::Switches, Trackpad::Trackpad, MultiTouch::MultiTouch,
    }
    service_modules {}
    common_modules {}
    guest {}
    secretkeeper {}
}
