// SPDX-License-Identifier: Apache-2.0
//! The interfaces of Android 15 QPR2.

crate::release::release! {
    "r15_qpr2.rs",
    common {}
    service {
        CpuTopology::CpuTopology,
        IVirtualizationService::{
            FEATURE_DICE_CHANGES, FEATURE_MULTI_TENANT, FEATURE_REMOTE_ATTESTATION,
        },
        IVirtualMachine::ERROR_UNEXPECTED,
        AudioConfig::AudioConfig,
        UsbConfig::UsbConfig,
        SharedPath::SharedPath,
    }
    input_device {
        Switches::Switches, Trackpad::Trackpad, MultiTouch::MultiTouch,
    }
    service_modules {}
    common_modules {}
    guest {}
    secretkeeper {}
}
