// SPDX-License-Identifier: Apache-2.0
//! Configs as trees of the newest layout, from both sides: what a client of a release means, and what
//! the reader made of it. Descriptors are null in both.

use avf_aidl::service::app_config::{CustomConfig, Payload};
use avf_aidl::service::cpu_options::CpuTopology;
use avf_aidl::service::{
    AssignableDeviceSelector, CpuOptions, DiskImage, GpuConfig, InputDevice, SharedPath,
    SmbiosOptions, VirtualMachineAppConfig, VirtualMachineConfig, VirtualMachineRawConfig,
};
use wire_bytes::schema::{Field, Type};
use wire_bytes::{Layout, Value};

/// What `config`, written in `layout`, means in the newest layout.
pub(crate) fn meant(layout: Layout, config: &Value) -> Value {
    let newest = Type::Union(Layout::A17_1.config());
    convert(&Type::Union(layout.config()), &newest, config)
}

fn convert(from: &Type, to: &Type, value: &Value) -> Value {
    match (from, to, value) {
        (_, _, Value::Null | Value::Descriptor(_)) => Value::Null,
        (Type::Nullable(from), Type::Nullable(to), value) => convert(from, to, value),
        (Type::Array(Type::Descriptor), _, _) => Value::Array(Vec::new()),
        // Devices by their paths.
        (Type::Array(Type::Text), Type::Array(Type::Union(_)), Value::Array(paths)) => {
            let paths = paths.iter().cloned();
            Value::Array(paths.map(|path| Value::union(1, path)).collect())
        }
        (Type::Array(from), Type::Array(to), Value::Array(elements)) => {
            let elements = elements.iter();
            Value::Array(elements.map(|element| convert(from, to, element)).collect())
        }
        (Type::Union(from), Type::Union(to), Value::Union(tag, value)) => {
            let (from, to) = (&from.fields[*tag], &to.fields[*tag]);
            assert_eq!(from.name, to.name);
            Value::union(*tag, convert(&from.ty, &to.ty, value))
        }
        (Type::Parcelable(from), Type::Parcelable(to), Value::Parcelable(values)) => {
            let fields = to.fields.iter();
            Value::Parcelable(
                fields
                    .map(|field| field_of(from.fields, values, field))
                    .collect(),
            )
        }
        (_, _, value) => value.clone(),
    }
}

/// The value of a field of the newest layout.
fn field_of(from: &[Field], values: &[Value], field: &Field) -> Value {
    let find = |name: &str| {
        let place = from.iter().position(|field| field.name == name)?;
        Some((&from[place].ty, &values[place]))
    };
    if let Some((ty, value)) = find(field.name) {
        return convert(ty, &field.ty, value);
    }
    match field.name {
        "balloon" => match find("noBalloon") {
            Some((_, Value::Bool(is_refused))) => Value::Bool(!is_refused),
            _ => Value::Bool(true),
        },
        "cpuOptions" => match find("cpuTopology") {
            Some((_, Value::Int(0))) => topology(0, Value::Int(1)),
            _ => topology(1, Value::Bool(true)),
        },
        "deviceAssignmentConfig" => {
            let (Type::Parcelable(to), Some((ty, value))) = (&field.ty, find("devices")) else {
                panic!("{field:?}");
            };
            let devices = match (ty, value) {
                (Type::Union(union), Value::Union(0, paths)) => {
                    convert(&union.fields[0].ty, &to.fields[0].ty, paths)
                }
                (Type::Union(_), _) => Value::Array(Vec::new()),
                (ty, paths) => convert(ty, &to.fields[0].ty, paths),
            };
            Value::Parcelable(vec![devices])
        }
        _ => match field.default_value() {
            Value::Descriptor(_) => Value::Null,
            value => value,
        },
    }
}

fn topology(tag: usize, value: Value) -> Value {
    Value::Parcelable(vec![Value::union(tag, value)])
}

/// What the reader made of a config.
pub(crate) fn read(config: &VirtualMachineConfig) -> Value {
    match config {
        VirtualMachineConfig::AppConfig(app) => Value::union(0, app_config(app)),
        VirtualMachineConfig::RawConfig(raw) => Value::union(1, raw_config(raw)),
    }
}

fn text(text: &Option<String>) -> Value {
    text.as_deref().map_or(Value::Null, Value::text)
}

fn list<T>(list: &[T], element: impl Fn(&T) -> Value) -> Value {
    Value::Array(list.iter().map(element).collect())
}

fn texts(texts: &[String]) -> Value {
    list(texts, |text| Value::text(text))
}

fn nullable<T>(value: Option<&T>, some: impl Fn(&T) -> Value) -> Value {
    value.map_or(Value::Null, some)
}

fn record<const N: usize>(values: [Value; N]) -> Value {
    Value::Parcelable(values.into())
}

fn raw_config(raw: &VirtualMachineRawConfig) -> Value {
    Value::Parcelable(vec![
        Value::text(&raw.name),
        Value::Bytes(raw.instanceId.to_vec()),
        Value::text(&raw.osName),
        Value::Null,
        Value::Null,
        text(&raw.params),
        Value::Null,
        Value::Array(Vec::new()),
        list(&raw.disks, disk),
        list(&raw.sharedPaths, shared_path),
        Value::Bool(raw.protectedVm),
        Value::Null,
        Value::Int(raw.memoryMib),
        Value::Int(raw.swiotlbMib),
        cpu_options(&raw.cpuOptions),
        Value::text(&raw.platformVersion),
        Value::Int(raw.gdbPort),
        Value::Bool(raw.hugePages),
        record([list(&raw.deviceAssignmentConfig.devices, selector)]),
        nullable(raw.displayConfig.as_ref(), |it| {
            let numbers = [
                it.width,
                it.height,
                it.horizontalDpi,
                it.verticalDpi,
                it.refreshRate,
            ];
            record(numbers.map(Value::Int))
        }),
        list(&raw.inputDevices, input),
        Value::Bool(raw.networkSupported),
        text(&raw.consoleInputDevice),
        Value::Bool(raw.boostUclamp),
        nullable(raw.gpuConfig.as_ref(), gpu),
        nullable(raw.audioConfig.as_ref(), |it| {
            record([it.useMicrophone, it.useSpeaker].map(Value::Bool))
        }),
        Value::Bool(raw.balloon),
        Value::Bool(raw.allowVgicItsInPvm),
        nullable(raw.usbConfig.as_ref(), |it| {
            record([Value::Bool(it.controller), texts(&it.devices)])
        }),
        texts(&raw.teeServices),
        Value::Bool(raw.enableHypervisorSpecificAuthMethod),
        Value::Null,
        list(&raw.customMemoryBackingFiles, |it| {
            record([
                Value::Null,
                Value::Long(it.rangeStart),
                Value::Long(it.size),
            ])
        }),
        texts(&raw.hostServices),
        nullable(raw.smbiosOptions.as_ref(), smbios),
        Value::Bool(raw.ramdump),
        text(&raw.profileName),
        Value::Bool(raw.enableSecretkeeper),
    ])
}

fn app_config(app: &VirtualMachineAppConfig) -> Value {
    let none = || Value::Array(Vec::new());
    Value::Parcelable(vec![
        Value::text(&app.name),
        Value::Bytes(app.instanceId.to_vec()),
        Value::Null,
        Value::Null,
        none(),
        none(),
        none(),
        Value::Null,
        Value::Null,
        match &app.payload {
            Payload::ConfigPath(path) => Value::union(0, Value::text(path)),
            Payload::PayloadConfig(it) => {
                Value::union(1, record([Value::text(&it.payloadBinaryName), none()]))
            }
        },
        Value::text(&app.osName),
        Value::Int(i32::from(app.debugLevel.0)),
        Value::Bool(app.protectedVm),
        Value::Int(app.memoryMib),
        cpu_options(&app.cpuOptions),
        nullable(app.customConfig.as_ref(), custom),
        Value::Bool(app.hugePages),
        Value::Bool(app.boostUclamp),
        texts(&app.hostServices),
        Value::Bool(app.shouldDelayEncryptedStoreSetup),
        Value::Null,
        Value::Bool(app.autoStartAdbd),
        Value::Bool(app.ramdump),
        text(&app.profileName),
    ])
}

fn custom(custom: &CustomConfig) -> Value {
    record([
        Value::Null,
        Value::Int(custom.gdbPort),
        Value::Null,
        list(&custom.devices, selector),
        Value::Bool(custom.wantUpdatable),
        Value::Bool(custom.networkSupported),
        texts(&custom.extraKernelCmdlineParams),
        texts(&custom.teeServices),
    ])
}

fn cpu_options(options: &CpuOptions) -> Value {
    match options.cpuTopology {
        CpuTopology::CpuCount(count) => topology(0, Value::Int(count)),
        CpuTopology::MatchHost(matches) => topology(1, Value::Bool(matches)),
    }
}

fn selector(selector: &AssignableDeviceSelector) -> Value {
    match selector {
        AssignableDeviceSelector::ByLabel(label) => Value::union(0, Value::text(label)),
        AssignableDeviceSelector::ByPath(path) => Value::union(1, Value::text(path)),
    }
}

fn disk(disk: &DiskImage) -> Value {
    let partitions = list(&disk.partitions, |it| {
        record([
            Value::text(&it.label),
            Value::Null,
            Value::Bool(it.writable),
            text(&it.guid),
        ])
    });
    record([
        Value::Null,
        Value::Bool(disk.writable),
        partitions,
        text(&disk.id),
    ])
}

fn shared_path(path: &SharedPath) -> Value {
    record([
        Value::text(&path.sharedPath),
        Value::Int(path.hostUid),
        Value::Int(path.hostGid),
        Value::Int(path.guestUid),
        Value::Int(path.guestGid),
        Value::Int(path.mask),
        Value::text(&path.tag),
        Value::text(&path.socketPath),
    ])
}

fn gpu(gpu: &GpuConfig) -> Value {
    record([
        text(&gpu.backend),
        nullable(gpu.contextTypes.as_ref(), |types| list(types, text)),
        text(&gpu.pciAddress),
        text(&gpu.rendererFeatures),
        Value::Bool(gpu.rendererUseEgl),
        Value::Bool(gpu.rendererUseGles),
        Value::Bool(gpu.rendererUseGlx),
        Value::Bool(gpu.rendererUseSurfaceless),
        Value::Bool(gpu.rendererUseVulkan),
        Value::Null,
    ])
}

fn smbios(options: &SmbiosOptions) -> Value {
    record([
        text(&options.biosVendor),
        text(&options.biosVersion),
        text(&options.manufacturer),
        text(&options.productName),
        text(&options.serialNumber),
        text(&options.uuid),
        texts(&options.oemStrings),
    ])
}

fn input(device: &InputDevice) -> Value {
    let surface = |tag, width, height, name: &str| {
        let values = [
            Value::Null,
            Value::Int(width),
            Value::Int(height),
            Value::text(name),
        ];
        Value::union(tag, record(values))
    };
    let plain = |tag| Value::union(tag, record([Value::Null]));
    match device {
        InputDevice::SingleTouch(it) => surface(0, it.width, it.height, &it.name),
        InputDevice::EvDev(_) => plain(1),
        InputDevice::Keyboard(_) => plain(2),
        InputDevice::Mouse(_) => plain(3),
        InputDevice::Switches(_) => plain(4),
        InputDevice::Trackpad(it) => surface(5, it.width, it.height, &it.name),
        InputDevice::MultiTouch(it) => surface(6, it.width, it.height, &it.name),
    }
}
