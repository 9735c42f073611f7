// SPDX-License-Identifier: Apache-2.0
//! What a client asks for, taken once from whichever kind of config came.

use crate::app_config;
use avf_aidl::common::IEncryptedStoreKEK;
use avf_aidl::service::{
    CpuOptions, VirtualMachineAppConfig, VirtualMachineConfig, VirtualMachineRawConfig,
};
use rsbinder::Strong;

/// A VM that a client asks for.
#[derive(Debug, Clone, Copy)]
pub struct Requested<'a> {
    /// The VM's name.
    pub name: &'a str,
    /// Its instance id.
    pub instance_id: &'a [u8; 64],
    /// Whether its memory should be protected from the host.
    pub is_protected: bool,
    /// Memory in MiB; 0 for the default.
    pub memory_mib: i32,
    /// Virtual CPUs.
    pub cpus: &'a CpuOptions,
    /// The client's store for the key of the guest's encrypted storage.
    pub storage_key: Option<&'a Strong<dyn IEncryptedStoreKEK>>,
    /// Whether it wants a network.
    pub network: bool,
    /// Whether the client says more about the VM than an app may.
    pub is_custom: bool,
    /// The config itself.
    pub config: Config<'a>,
}

/// The kinds of configs.
#[derive(Debug, Clone, Copy)]
pub enum Config<'a> {
    /// A VM made of the client's own files.
    Raw(&'a VirtualMachineRawConfig),
    /// A Microdroid with the client's payload.
    App(&'a VirtualMachineAppConfig),
}

impl Requested<'_> {
    /// Whether it is a Microdroid.
    #[must_use]
    pub fn is_app(&self) -> bool {
        matches!(self.config, Config::App(_))
    }
}

impl<'a> From<&'a VirtualMachineConfig> for Requested<'a> {
    fn from(config: &'a VirtualMachineConfig) -> Self {
        match config {
            VirtualMachineConfig::RawConfig(raw) => Self {
                name: &raw.name,
                instance_id: &raw.instanceId,
                is_protected: raw.protectedVm,
                memory_mib: raw.memoryMib,
                cpus: &raw.cpuOptions,
                storage_key: None,
                network: raw.networkSupported,
                is_custom: true,
                config: Config::Raw(raw),
            },
            VirtualMachineConfig::AppConfig(app) => Self {
                name: &app.name,
                instance_id: &app.instanceId,
                is_protected: app.protectedVm,
                memory_mib: app.memoryMib,
                cpus: &app.cpuOptions,
                storage_key: app.encryptedStoreKEK.as_ref(),
                network: app
                    .customConfig
                    .as_ref()
                    .is_some_and(|custom| custom.networkSupported),
                is_custom: app_config::is_custom(app),
                config: Config::App(app),
            },
        }
    }
}
