// SPDX-License-Identifier: Apache-2.0
//! Configs with every field set, as far as a host without special hardware can run them: what needs
//! a protected VM, devices of the host, a GPU, a sound card or a service of Android's is there with
//! its neutral value.

use crate::layout::{APP_CONFIG, Layout, RAW_CONFIG};
use crate::schema::{Field, Parcelable, Type};
use crate::value::Value;

/// A guest that a raw config boots. Descriptors are the caller's numbers.
#[derive(Debug, Clone, Copy)]
pub struct Guest<'a> {
    /// The VM's name.
    pub name: &'a str,
    /// A kernel.
    pub kernel: usize,
    /// Its initial RAM disk.
    pub initrd: usize,
    /// Its command line.
    pub params: &'a str,
    /// A partition that is not written.
    pub read_only_partition: usize,
    /// A partition that may be written.
    pub writable_partition: usize,
    /// A whole disk that may be written.
    pub disk: usize,
}

/// A payload that an app config runs. Descriptors are the caller's numbers.
#[derive(Debug, Clone, Copy)]
pub struct App<'a> {
    /// The VM's name.
    pub name: &'a str,
    /// The APK.
    pub apk: usize,
    /// Its idsig.
    pub idsig: usize,
    /// The instance image.
    pub instance: usize,
    /// The payload's file in the APK.
    pub binary: &'a str,
}

/// The name of the first disk, where the layout has a place for it.
pub const DISK_ID: &str = "first-disk";
/// The GUID of its first partition, likewise.
pub const PARTITION_GUID: &str = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";
/// The label of its first partition.
pub const READ_ONLY_LABEL: &str = "reads";
/// The label of its second partition.
pub const WRITABLE_LABEL: &str = "writes";
/// The guest's memory.
pub const MEMORY_MIB: i32 = 320;
/// The guest's CPUs, where the layout counts them.
pub const CPUS: i32 = 3;
/// The machine's serial number, where the layout has a place for it.
pub const SERIAL_NUMBER: &str = "serial-17";

/// A raw config with every field of the layout set.
#[must_use]
pub fn raw_config(layout: Layout, guest: &Guest<'_>) -> Value {
    let fields = set(layout.raw_config(), &|field| raw_field(field, guest));
    Value::union(RAW_CONFIG, fields)
}

/// An app config with every field of the layout set.
#[must_use]
pub fn app_config(layout: Layout, app: &App<'_>) -> Value {
    let fields = set(layout.app_config(), &|field| app_field(field, app));
    Value::union(APP_CONFIG, fields)
}

fn set(parcelable: &Parcelable, value: &dyn Fn(&Field) -> Value) -> Value {
    Value::Parcelable(parcelable.fields.iter().map(value).collect())
}

/// 1 to 64, so that a byte in the wrong place shows.
#[must_use]
pub fn instance_id() -> [u8; 64] {
    std::array::from_fn(|index| u8::try_from(index + 1).unwrap_or(u8::MAX))
}

fn raw_field(field: &Field, guest: &Guest<'_>) -> Value {
    match field.name {
        "name" => Value::text(guest.name),
        "instanceId" => Value::Bytes(instance_id().to_vec()),
        "osName" => Value::text("linux"),
        "kernel" => Value::Descriptor(guest.kernel),
        "initrd" => Value::Descriptor(guest.initrd),
        "params" => Value::text(guest.params),
        "disks" => disks(element(&field.ty), guest),
        "memoryMib" => Value::Int(MEMORY_MIB),
        "swiotlbMib" => Value::Int(16),
        "cpuTopology" => Value::Int(1),
        "cpuOptions" => cpu_options(),
        "platformVersion" => Value::text("~1.0"),
        "hugePages" | "boostUclamp" | "balloon" | "noBalloon" | "allowVgicItsInPvm" => {
            Value::Bool(true)
        }
        // True by default.
        "ramdump" | "enableSecretkeeper" => Value::Bool(false),
        "displayConfig" => Value::Parcelable([640, 480, 160, 160, 60].map(Value::Int).to_vec()),
        "consoleInputDevice" => Value::text("ttyS0"),
        "gpuConfig" | "audioConfig" => structure(&field.ty).zero(),
        "usbConfig" => usb_config(structure(&field.ty)),
        "smbiosOptions" => smbios_options(),
        // A kernel or a boot loader; a debugger would be waited for.
        "bootloader" | "gdbPort"
        // Firmware in the place of the one that starts kernels.
        | "pflash"
        // They need a protected VM, a hypervisor, devices or services that the host does not have.
        | "protectedVm" | "customPvmfw" | "devices" | "deviceAssignmentConfig"
        | "deviceTreeOverlay" | "inputDevices" | "networkSupported" | "teeServices"
        | "enableHypervisorSpecificAuthMethod" | "customMemoryBackingFiles" | "hostServices"
        | "sharedPaths" | "profileName" => field.default_value(),
        other => panic!("no value for {other}"),
    }
}

fn app_field(field: &Field, app: &App<'_>) -> Value {
    match field.name {
        "name" => Value::text(app.name),
        "instanceId" => Value::Bytes(instance_id().to_vec()),
        "apk" => Value::Descriptor(app.apk),
        "idsig" => Value::Descriptor(app.idsig),
        "instanceImage" => Value::Descriptor(app.instance),
        "payload" => {
            let extra_apks = Value::Array(Vec::new());
            Value::union(
                1,
                Value::Parcelable(vec![Value::text(app.binary), extra_apks]),
            )
        }
        "osName" => Value::text("microdroid"),
        "debugLevel" | "cpuTopology" => Value::Int(1),
        "memoryMib" => Value::Int(MEMORY_MIB),
        "cpuOptions" => cpu_options(),
        "customConfig" => custom_config(structure(&field.ty)),
        "hugePages" | "boostUclamp" | "autoStartAdbd" => Value::Bool(true),
        "ramdump" => Value::Bool(false),
        "extraIdsigs"
        | "tenantApks"
        | "tenantIdsigs"
        | "encryptedStorageImage"
        | "protectedVm"
        | "hostServices"
        | "shouldDelayEncryptedStoreSetup"
        | "encryptedStoreKEK"
        | "profileName" => field.default_value(),
        other => panic!("no value for {other}"),
    }
}

fn custom_config(ty: &Type) -> Value {
    let Type::Parcelable(parcelable) = ty else {
        panic!("{ty:?}");
    };
    set(parcelable, &|field| match field.name {
        "extraKernelCmdlineParams" => Value::Array(vec![Value::text("wire.extra=1")]),
        // True by default.
        "wantUpdatable" => Value::Bool(false),
        "customKernelImage" | "gdbPort" | "vendorImage" | "devices" | "networkSupported"
        | "teeServices" => field.default_value(),
        other => panic!("no value for {other}"),
    })
}

fn cpu_options() -> Value {
    Value::Parcelable(vec![Value::union(0, Value::Int(CPUS))])
}

fn usb_config(ty: &Type) -> Value {
    let Type::Parcelable(parcelable) = ty else {
        panic!("{ty:?}");
    };
    set(parcelable, &|field| match field.name {
        "controller" => Value::Bool(true),
        "devices" => field.default_value(),
        other => panic!("no value for {other}"),
    })
}

fn smbios_options() -> Value {
    let texts = [
        "wire vendor",
        "1.2.3",
        "wire maker",
        "wire product",
        SERIAL_NUMBER,
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    ];
    let mut values = texts.map(Value::text).to_vec();
    values.push(Value::Array(vec![Value::text("one"), Value::text("two")]));
    Value::Parcelable(values)
}

/// A disk of two partitions, and one that is an image.
fn disks(ty: &Type, guest: &Guest<'_>) -> Value {
    let Type::Parcelable(disk) = ty else {
        panic!("{ty:?}");
    };
    let partitions = set(disk, &|field| match field.name {
        "partitions" => Value::Array(vec![
            partition(
                element(&field.ty),
                READ_ONLY_LABEL,
                guest.read_only_partition,
                false,
            ),
            partition(
                element(&field.ty),
                WRITABLE_LABEL,
                guest.writable_partition,
                true,
            ),
        ]),
        "id" => Value::text(DISK_ID),
        "image" | "writable" => field.default_value(),
        other => panic!("no value for {other}"),
    });
    let image = set(disk, &|field| match field.name {
        "image" => Value::Descriptor(guest.disk),
        "writable" => Value::Bool(true),
        "id" | "partitions" => field.default_value(),
        other => panic!("no value for {other}"),
    });
    Value::Array(vec![partitions, image])
}

fn partition(ty: &Type, label: &str, image: usize, is_writable: bool) -> Value {
    let Type::Parcelable(partition) = ty else {
        panic!("{ty:?}");
    };
    set(partition, &|field| match field.name {
        "label" => Value::text(label),
        "image" => Value::Descriptor(image),
        "writable" => Value::Bool(is_writable),
        "guid" if is_writable => Value::Null,
        "guid" => Value::text(PARTITION_GUID),
        other => panic!("no value for {other}"),
    })
}

/// The type of an array's elements.
fn element(ty: &Type) -> &Type {
    match ty {
        Type::Array(element) => element,
        other => panic!("{other:?} has no elements"),
    }
}

/// The type of what may be null.
fn structure(ty: &Type) -> &Type {
    match ty {
        Type::Nullable(structure) => structure,
        other => panic!("{other:?} is never null"),
    }
}
