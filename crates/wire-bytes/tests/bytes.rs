// SPDX-License-Identifier: Apache-2.0
//! Parcels, typed out word by word.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

use wire_bytes::guest::{self, Guest};
use wire_bytes::schema::Type;
use wire_bytes::writer::{Insertion, Mark, Message, Piece, words};
use wire_bytes::{Layout, Value, Writer};

/// Two UTF-16 units in a word.
const fn units(first: char, second: char) -> i32 {
    first as i32 | (second as i32) << 16
}

fn write(ty: &Type, value: &Value) -> Message {
    let mut writer = Writer::default();
    writer.value(ty, value);
    writer.finish()
}

/// The value of the field `name` in the config of `layout`, set to `value`.
fn with(layout: Layout, tag: usize, fields: &[(&str, Value)]) -> Value {
    let config = layout.config();
    let Type::Parcelable(parcelable) = &config.fields[tag].ty else {
        panic!("not a parcelable");
    };
    let mut left = fields.to_vec();
    let values = parcelable.fields.iter().map(|field| {
        match left.iter().position(|(name, _)| *name == field.name) {
            Some(place) => left.remove(place).1,
            None => field.default_value(),
        }
    });
    let values = values.collect();
    assert!(left.is_empty(), "{left:?}");
    Value::union(tag, Value::Parcelable(values))
}

#[test]
fn texts() {
    let text = |text| write(&Type::Text, &Value::text(text)).bytes;
    assert_eq!(text(""), [0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(text("a"), [1, 0, 0, 0, b'a', 0, 0, 0]);
    assert_eq!(text("ab"), [2, 0, 0, 0, b'a', 0, b'b', 0, 0, 0, 0, 0]);
    assert_eq!(
        text("~1.0"),
        [4, 0, 0, 0, b'~', 0, b'1', 0, b'.', 0, b'0', 0, 0, 0, 0, 0]
    );
    // Two units for a character beyond the basic plane.
    assert_eq!(
        text("\u{1f600}"),
        [2, 0, 0, 0, 0x3d, 0xd8, 0x00, 0xde, 0, 0, 0, 0]
    );
    let null = write(&Type::Nullable(&Type::Text), &Value::Null);
    assert_eq!(null.bytes, [0xff; 4]);
}

#[test]
fn numbers_arrays_and_nulls() {
    assert_eq!(write(&Type::Bool, &Value::Bool(true)).words(), [1]);
    assert_eq!(write(&Type::Int, &Value::Int(-2)).words(), [-2]);
    assert_eq!(write(&Type::Enum(2), &Value::Int(1)).words(), [1]);
    let long = write(&Type::Long, &Value::Long(0x0102_0304_0506_0708));
    assert_eq!(long.bytes, [8, 7, 6, 5, 4, 3, 2, 1]);
    let id = write(&Type::Bytes64, &Value::Bytes(vec![9; 64]));
    assert_eq!(id.bytes[..4], [64, 0, 0, 0]);
    assert_eq!(id.bytes[4..], [9; 64]);
    let ints = Type::Array(&Type::Int);
    let two = Value::Array(vec![Value::Int(7), Value::Int(8)]);
    assert_eq!(write(&ints, &two).words(), [2, 7, 8]);
    assert_eq!(write(&ints, &Value::Array(vec![])).words(), [0]);
    let null = |ty| write(&Type::Nullable(ty), &Value::Null).words();
    assert_eq!(null(&Type::Array(&Type::Int)), [-1]);
    assert_eq!(null(&Type::Descriptor), [0]);
    // No object, of no stability.
    assert_eq!(null(&Type::Binder), [0, 0]);
}

/// A raw config of Android 15 with a kernel, a disk and a display; the rest has its defaults.
#[test]
fn a_raw_config_of_15() {
    let partition = Value::Parcelable(vec![
        Value::text("p"),
        Value::Descriptor(22),
        Value::Bool(true),
    ]);
    let disk = Value::Parcelable(vec![
        Value::Null,
        Value::Bool(false),
        Value::Array(vec![partition]),
    ]);
    let display = Value::Parcelable([1, 2, 3, 4, 5].map(Value::Int).to_vec());
    let keyboard = Value::union(2, Value::Parcelable(vec![Value::Descriptor(33)]));
    let config = with(
        Layout::A15,
        1,
        &[
            ("name", Value::text("vm")),
            ("kernel", Value::Descriptor(11)),
            ("disks", Value::Array(vec![disk])),
            ("memoryMib", Value::Int(512)),
            ("cpuTopology", Value::Int(1)),
            ("platformVersion", Value::text("1")),
            ("devices", Value::Array(vec![Value::text("d")])),
            ("displayConfig", display),
            ("inputDevices", Value::Array(vec![keyboard])),
        ],
    );
    let files = [Value::Null, Value::Descriptor(44), Value::Null];
    let message = Writer::default().create_vm(Layout::A15, &config, &files);
    let mut expected = vec![
        1,
        1, // a union: rawConfig
        1,
        292, // a parcelable
        2,
        units('v', 'm'),
        0,  // name
        64, // instanceId
    ];
    expected.extend([0; 16]);
    expected.extend([
        1,
        0,
        2,
        0,  // kernel
        0,  // initrd
        -1, // params
        0,  // bootloader
        1,  // disks
        1,
        52, // DiskImage
        0,  // image
        0,  // writable
        1,  // partitions
        1,
        32, // Partition
        1,
        units('p', '\0'), // label
        1,
        0,
        2,
        1,   // image
        1,   // writable
        0,   // protectedVm
        512, // memoryMib
        1,   // cpuTopology
        1,
        units('1', '\0'), // platformVersion
        0,                // gdbPort
        0,                // hugePages
        1,
        1,
        units('d', '\0'), // devices
        1,
        24,
        1,
        2,
        3,
        4,
        5, // displayConfig
        1, // inputDevices
        1,
        2, // keyboard
        1,
        20, // Keyboard
        1,
        0,
        2,
        2,  // pfd
        0,  // networkSupported
        -1, // consoleInputDevice
        0,  // boostUclamp
        0,  // gpuConfig
        // The files after the config.
        0,
        1,
        0,
        2,
        3,
        0,
    ]);
    assert_eq!(message.words(), expected);
    assert_eq!(message.descriptors, [11, 22, 33, 44]);
    let types: Vec<_> = message
        .objects
        .iter()
        .map(|at| words(&message.bytes)[at / 4])
        .collect();
    assert_eq!(types, [2; 4]);
}

/// An app config of Android 17.1: what is new in it has values.
#[test]
#[rustfmt::skip]
fn an_app_config_of_17_1() {
    let selector = |tag, text| Value::union(tag, Value::text(text));
    let custom = Value::Parcelable(vec![
        Value::Null,
        Value::Int(1234),
        Value::Descriptor(5),
        Value::Array(vec![selector(0, "l"), selector(1, "/s")]),
        Value::Bool(true),
        Value::Bool(false),
        Value::Array(vec![]),
        Value::Array(vec![Value::text("")]),
    ]);
    let payload = Value::Parcelable(vec![
        Value::text("b"),
        Value::Array(vec![Value::Descriptor(4)]),
    ]);
    let config = with(Layout::A17_1, 0, &[
        ("name", Value::text("n")),
        ("instanceId", Value::Bytes(vec![1; 64])),
        ("apk", Value::Descriptor(0)),
        ("idsig", Value::Descriptor(1)),
        ("tenantApks", Value::Array(vec![Value::Descriptor(2)])),
        ("instanceImage", Value::Descriptor(3)),
        ("payload", Value::union(1, payload)),
        ("osName", Value::text("os")),
        ("debugLevel", Value::Int(1)),
        ("cpuOptions", Value::Parcelable(vec![Value::union(1, Value::Bool(true))])),
        ("customConfig", custom),
        ("hostServices", Value::Array(vec![Value::text("h")])),
        ("autoStartAdbd", Value::Bool(true)),
        ("profileName", Value::text("p")),
    ]);
    let files = [Value::Null, Value::Null, Value::Null, Value::Descriptor(6)];
    let message = Writer::default().create_vm(Layout::A17_1, &config, &files);
    let mut expected = vec![
        1, 0, // a union: appConfig
        1, 392, // a parcelable
        1, units('n', '\0'), // name
        64, // instanceId
    ];
    expected.extend([0x0101_0101; 16]);
    expected.extend([
        1, 0, 2, 0, // apk
        1, 0, 2, 1, // idsig
        0, // extraIdsigs
        1, 1, 0, 2, 2, // tenantApks
        0, // tenantIdsigs
        1, 0, 2, 3, // instanceImage
        0, // encryptedStorageImage
        1, 1, // payload: payloadConfig
        1, 32, // VirtualMachinePayloadConfig
        1, units('b', '\0'), // payloadBinaryName
        1, 1, 0, 2, 4, // extraApks
        2, units('o', 's'), 0, // osName
        1, // debugLevel
        0, // protectedVm
        0, // memoryMib
        1, 16, 1, 1, 1, // cpuOptions: matchHost
        1, 92, // CustomConfig
        0, // customKernelImage
        1234, // gdbPort
        1, 0, 2, 5, // vendorImage
        2, // devices
        1, 0, 1, units('l', '\0'),
        1, 1, 2, units('/', 's'), 0,
        1, // wantUpdatable
        0, // networkSupported
        0, // extraKernelCmdlineParams
        1, 0, 0, // teeServices
        0, // hugePages
        0, // boostUclamp
        1, 1, units('h', '\0'), // hostServices
        0, // shouldDelayEncryptedStoreSetup
        0, 0, // encryptedStoreKEK
        1, // autoStartAdbd
        1, // ramdump
        1, units('p', '\0'), // profileName
        // The files after the config.
        0, 0, 0, 1, 0, 2, 6,
    ]);
    assert_eq!(message.words(), expected);
    assert_eq!(message.descriptors, [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
#[rustfmt::skip]
fn unions_longs_and_inserted_fields() {
    let Type::Parcelable(raw) = &Layout::A16.config().fields[1].ty else {
        panic!("not a parcelable");
    };
    let ty = |name: &str| &raw.fields.iter().find(|field| field.name == name).unwrap().ty;
    let dtbo = Value::union(1, Value::Descriptor(8));
    assert_eq!(write(ty("devices"), &dtbo).words(), [1, 1, 1, 0, 2, 0]);
    let none = ty("devices").zero();
    assert_eq!(write(ty("devices"), &none).words(), [1, 0, 0]);
    assert_eq!(write(ty("cpuOptions"), &ty("cpuOptions").zero()).words(), [1, 16, 1, 0, 1]);
    let file = Value::Parcelable(vec![Value::Descriptor(0), Value::Long(1 << 32), Value::Long(-1)]);
    let files = Value::Array(vec![file]);
    assert_eq!(
        write(ty("customMemoryBackingFiles"), &files).words(),
        [1, 1, 36, 1, 0, 2, 0, 0, 1, -1, -1]
    );
    let insert = |before, words: &'static [i32]| {
        let mut writer = Writer::default().with(Insertion { parcelable: "CpuOptions", before, words });
        writer.value(ty("cpuOptions"), &ty("cpuOptions").zero());
        writer.finish()
    };
    assert_eq!(insert("cpuTopology", &[77]).words(), [1, 20, 77, 1, 0, 1]);
    let message = insert("", &[77, 78]);
    assert_eq!(message.words(), [1, 24, 1, 0, 1, 77, 78]);
    let marks = [(0, Mark::Presence), (4, Mark::Size), (8, Mark::Presence), (12, Mark::Tag)];
    assert_eq!(message.marks, marks);
}

#[test]
fn pieces_are_the_message_around_its_descriptors() {
    let config = guest::raw_config(Layout::A17_1, &GUEST);
    let files = [3, 4, 5].map(Value::Descriptor);
    let files = [&files[..], &[Value::Null]].concat();
    let message = Writer::default().create_vm(Layout::A17_1, &config, &files);
    let mut bytes = Vec::new();
    let mut seen = Vec::new();
    for piece in message.pieces() {
        match piece {
            Piece::Bytes(piece) => bytes.extend(piece),
            Piece::Descriptor(number) => {
                let index = i32::try_from(seen.len()).unwrap();
                bytes.extend(
                    [1, 0, 2, index]
                        .iter()
                        .flat_map(|word: &i32| word.to_le_bytes()),
                );
                seen.push(number);
            }
        }
    }
    assert_eq!(bytes, message.bytes);
    assert_eq!(seen, [10, 11, 12, 13, 14, 3, 4, 5]);
}

const GUEST: Guest<'_> = Guest {
    name: "vm",
    kernel: 10,
    initrd: 11,
    params: "quiet",
    read_only_partition: 12,
    writable_partition: 13,
    disk: 14,
};
