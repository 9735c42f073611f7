// SPDX-License-Identifier: Apache-2.0
//! The modules of one release: the generated code, and the types under short paths.

/// Makes them. What every release has stands here, what only some have at the call.
macro_rules! release {
    (
        $file:literal,
        common { $($common:tt)* }
        service { $($service:tt)* }
        input_device { $($input_device:tt)* }
        service_modules { $($service_modules:item)* }
        common_modules { $($common_modules:item)* }
        guest { $($guest:tt)* }
        secretkeeper { $($secretkeeper:tt)* }
    ) => {
        #[allow(
            missing_docs,
            unreachable_pub,
            unused_qualifications,
            clippy::pedantic,
            clippy::restriction,
            reason = "generated code; its documentation is in the .aidl files"
        )]
        pub(crate) mod generated {
            include!(concat!(env!("OUT_DIR"), "/", $file));
        }

        /// Types that several of the interfaces use.
        pub mod common {
            use super::generated::android::system::virtualizationcommon as types;

            pub use types::{
                Certificate::Certificate, DeathReason::DeathReason, ErrorCode::ErrorCode,
                $($common)*
            };

            $($common_modules)*
        }

        /// Between a client and its VM manager.
        pub mod service {
            use super::generated::android::system::virtualizationservice as types;

            pub use types::{
                AssignableDevice::AssignableDevice,
                DiskImage::DiskImage,
                DisplayConfig::DisplayConfig,
                GpuConfig::GpuConfig,
                IVirtualMachine::{BnVirtualMachine, BpVirtualMachine, IVirtualMachine},
                IVirtualMachineCallback::{
                    BnVirtualMachineCallback, BpVirtualMachineCallback, IVirtualMachineCallback,
                },
                IVirtualizationService::{
                    BnVirtualizationService, BpVirtualizationService, FEATURE_LLPVM_CHANGES,
                    FEATURE_NETWORK, FEATURE_VENDOR_MODULES, IVirtualizationService,
                },
                InputDevice::InputDevice,
                Partition::Partition,
                PartitionType::PartitionType,
                VirtualMachineAppConfig::VirtualMachineAppConfig,
                VirtualMachineConfig::VirtualMachineConfig,
                VirtualMachineDebugInfo::VirtualMachineDebugInfo,
                VirtualMachinePayloadConfig::VirtualMachinePayloadConfig,
                VirtualMachineRawConfig::VirtualMachineRawConfig,
                VirtualMachineState::VirtualMachineState,
                $($service)*
            };

            /// The kinds of [`InputDevice`].
            pub mod input_device {
                pub use super::types::InputDevice::{
                    EvDev::EvDev, Keyboard::Keyboard, Mouse::Mouse, SingleTouch::SingleTouch,
                    $($input_device)*
                };
            }

            /// The parts of a [`VirtualMachineAppConfig`].
            pub mod app_config {
                pub use super::types::VirtualMachineAppConfig::{
                    CustomConfig::CustomConfig, DebugLevel::DebugLevel, Payload::Payload,
                };
            }

            $($service_modules)*
        }

        /// Between a guest and its VM manager.
        pub mod guest {
            use super::generated::android::system::virtualmachineservice as types;

            pub use types::IVirtualMachineService::{
                BnVirtualMachineService, BpVirtualMachineService, IVirtualMachineService,
                VM_TOMBSTONES_SERVICE_PORT,
            };
            $($guest)*
        }

        /// The store for secrets of VMs, which a guest reaches through its manager.
        pub mod secretkeeper {
            pub use super::generated::android::hardware::security::secretkeeper::{
                ISecretkeeper::{BnSecretkeeper, BpSecretkeeper, ISecretkeeper},
                SecretId::SecretId,
                $($secretkeeper)*
            };
        }
    };
}

pub(crate) use release;
