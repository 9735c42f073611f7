// SPDX-License-Identifier: Apache-2.0
//! The configuration as it is in JSON, before the rules that involve several keys.

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::ValueError;
use crate::{
    Boot, ConsoleInputDevice, CpuTopology, Disk, MemoryMib, PlatformVersion, UsbConfig, VmConfig,
};

/// The keys of a configuration.
#[derive(Serialize)]
pub(crate) struct Document(Fields);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initrd: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bootloader: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    disks: Vec<Disk>,
    #[serde(default)]
    protected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_mib: Option<MemoryMib>,
    #[serde(default)]
    cpu_topology: CpuTopology,
    #[serde(default)]
    platform_version: PlatformVersion,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    devices: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    console_input_device: Option<ConsoleInputDevice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usb_config: Option<UsbConfig>,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer, "an object that describes a VM").map(Self)
    }
}

impl TryFrom<Document> for VmConfig {
    type Error = ValueError;

    fn try_from(Document(fields): Document) -> Result<Self, ValueError> {
        let boot = match (fields.kernel, fields.bootloader) {
            (Some(kernel), None) => Boot::Kernel(kernel),
            (None, Some(bootloader)) => Boot::Bootloader(bootloader),
            (Some(kernel), Some(bootloader)) => {
                return Err(ValueError::KernelAndBootloader { kernel, bootloader });
            }
            (None, None) => return Err(ValueError::NothingToBoot),
        };
        Ok(Self {
            name: fields.name,
            boot,
            initrd: fields.initrd,
            params: fields.params,
            disks: fields.disks,
            protected: fields.protected,
            memory: fields.memory_mib,
            cpu_topology: fields.cpu_topology,
            platform_version: fields.platform_version,
            devices: fields.devices,
            console_input_device: fields.console_input_device,
            usb: fields.usb_config,
        })
    }
}

impl From<VmConfig> for Document {
    fn from(config: VmConfig) -> Self {
        let (kernel, bootloader) = match config.boot {
            Boot::Kernel(path) => (Some(path), None),
            Boot::Bootloader(path) => (None, Some(path)),
        };
        Self(Fields {
            name: config.name,
            kernel,
            initrd: config.initrd,
            params: config.params,
            bootloader,
            disks: config.disks,
            protected: config.protected,
            memory_mib: config.memory,
            cpu_topology: config.cpu_topology,
            platform_version: config.platform_version,
            devices: config.devices,
            console_input_device: config.console_input_device,
            usb_config: config.usb,
        })
    }
}

/// Deserializes `T` from a JSON object only. Derived code would also accept an array of the values in
/// the order of the fields.
pub(crate) fn object<'de, D, T>(deserializer: D, what: &'static str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Object<T>(&'static str, PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(Object(what, PhantomData))
}
