// SPDX-License-Identifier: Apache-2.0
//! Holds the generated code to Android's wire contract, release by release. Everything here was
//! written out from the contract and not from the `.aidl` files: transaction codes, enum values,
//! defaults, and parcels put together by hand.

use rsbinder::{Deserialize, Parcel, ParcelFileDescriptor, Serialize, to_bytes};

mod events;
#[cfg(feature = "full")]
mod global;
mod r15;
mod r15_qpr1;
mod r15_qpr2;
mod r16;
mod r17;
mod r17_1;

/// Asserts the transaction code of each method of one interface.
macro_rules! assert_codes {
    ($module:path, $($method:ident: $code:literal),+ $(,)?) => {{
        use $module as interface;
        $(assert_eq!(interface::transactions::$method, $code, stringify!($method));)+
    }};
}
use assert_codes;

/// Asserts the values of an enum, and that it has no others.
macro_rules! assert_values {
    ($enum:ident: $number:ty, $($name:ident: $value:literal),+ $(,)?) => {{
        $(assert_eq!($enum::$name.0, $value, stringify!($name));)+
        let values: &[$number] = &[$($value),+];
        assert_eq!($enum::enum_values().map(|value| value.0), values);
    }};
}
use assert_values;

/// An instance id whose ends can be told apart.
const ID: [u8; 64] = {
    let mut id = [0; 64];
    id[0] = 0xaa;
    id[63] = 0xbb;
    id
};

/// One value in a parcel.
enum Item {
    /// A number, a boolean, an enum; 0 is also a null parcelable or descriptor, -1 a null string.
    Int(i32),
    Long(i64),
    /// Length in UTF-16 units, the units, a NUL.
    Text(&'static str),
    /// Length and elements, one byte each.
    Bytes(&'static [u8]),
    /// Presence, no channel for errors, and what stands for the file itself.
    Fd,
    NullBinder,
    /// Presence, the size including the size itself, the fields.
    Parcelable(Vec<Item>),
    /// Presence, the field's number, its value.
    Union(i32, Box<Item>),
    /// The number of elements and the elements.
    List(Vec<Item>),
}

impl Item {
    /// The words of a parcel; those that depend on what the process has open are left out.
    fn words(&self) -> Vec<Option<i32>> {
        let list = |items: &[Item]| items.iter().flat_map(Item::words).collect::<Vec<_>>();
        match self {
            Item::Int(value) => vec![Some(*value)],
            Item::Long(value) => packed(&value.to_le_bytes()),
            Item::Text(text) => {
                let units: Vec<u16> = text.encode_utf16().collect();
                let bytes: Vec<u8> = units
                    .iter()
                    .chain(&[0])
                    .flat_map(|unit| unit.to_le_bytes())
                    .collect();
                headed(units.len(), packed(&bytes))
            }
            Item::Bytes(bytes) => headed(bytes.len(), packed(bytes)),
            Item::Fd => {
                // A flat_binder_object of six words, as the kernel knows it: "fd*" and 0x85.
                let mut words = vec![Some(1), Some(0), Some(0x6664_2a85)];
                words.resize(8, None);
                words
            }
            // A flat_binder_object and its stability.
            Item::NullBinder => vec![None; 7],
            Item::Parcelable(fields) => {
                let fields = list(fields);
                let mut words = vec![Some(1)];
                words.extend(headed(fields.len() * 4 + 4, fields));
                words
            }
            Item::Union(tag, value) => {
                let mut words = vec![Some(1), Some(*tag)];
                words.extend(value.words());
                words
            }
            Item::List(items) => headed(items.len(), list(items)),
        }
    }
}

fn headed(head: usize, rest: Vec<Option<i32>>) -> Vec<Option<i32>> {
    let mut words = vec![Some(i32::try_from(head).unwrap())];
    words.extend(rest);
    words
}

/// Little endian, padded to whole words.
fn packed(bytes: &[u8]) -> Vec<Option<i32>> {
    bytes
        .chunks(4)
        .map(|chunk| {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            Some(i32::from_le_bytes(word))
        })
        .collect()
}

fn fd() -> ParcelFileDescriptor {
    ParcelFileDescriptor::new(std::fs::File::open("/dev/null").unwrap())
}

/// Asserts what a value is written as, and that it is read back from there.
fn assert_words<T: Serialize + Deserialize>(value: &T, expected: &Item) {
    let mut parcel = Parcel::new();
    parcel.write(value).unwrap();
    assert_parcel(&mut parcel, expected, "written");
    parcel.set_data_position(0);
    let back: T = parcel.read().unwrap();
    assert_eq!(parcel.data_avail(), 0, "bytes are left after reading");
    let mut parcel = Parcel::new();
    parcel.write(&back).unwrap();
    assert_parcel(&mut parcel, expected, "after a round trip");
}

fn assert_parcel(parcel: &mut Parcel, expected: &Item, when: &str) {
    let expected = expected.words();
    parcel.set_data_position(0);
    for (at, word) in expected.iter().enumerate() {
        let found = words(parcel, at);
        assert!(
            word.is_none_or(|word| Some(word) == found),
            "{when}: word {at} is {found:?} and not {word:?}"
        );
    }
    assert_eq!(parcel.data_size(), expected.len() * 4, "{when}: size");
}

fn words(parcel: &mut Parcel, at: usize) -> Option<i32> {
    parcel.set_data_position(at * 4);
    parcel.read_i32().ok()
}

/// A program built without the feature must not even contain these names.
#[cfg(not(feature = "full"))]
#[test]
fn the_base_names_no_interface_of_the_full_system() {
    for code in [
        include_str!(concat!(env!("OUT_DIR"), "/r15_qpr1.rs")),
        include_str!(concat!(env!("OUT_DIR"), "/r16.rs")),
        include_str!(concat!(env!("OUT_DIR"), "/r17_1.rs")),
    ] {
        for name in [
            "IPackageManagerNative",
            "IPermissionController",
            "virtualizationmaintenance",
            "virtualizationservice_internal",
            "vmtethering",
        ] {
            assert!(!code.contains(name), "{name} is in the base bindings");
        }
    }
}

#[test]
fn descriptors_are_the_full_names() {
    use crate::r17_1::{guest::BpVirtualMachineService, service::BpVirtualizationService};
    use rsbinder::Proxy;
    assert_eq!(
        BpVirtualizationService::descriptor(),
        "android.system.virtualizationservice.IVirtualizationService"
    );
    assert_eq!(
        BpVirtualMachineService::descriptor(),
        "android.system.virtualmachineservice.IVirtualMachineService"
    );
}

/// Between two peers that RPC binder connects there are no objects of the kernel in a parcel.
#[test]
fn plain_bytes() {
    use crate::r17_1::service::{AssignableDevice, UsbConfig};
    #[rustfmt::skip]
    let expected = [
        1, 0, 0, 0, // there is one
        12, 0, 0, 0, // of so many bytes
        1, 0, 0, 0, // with a controller
        0, 0, 0, 0, // and no device
    ];
    let usb = UsbConfig {
        controller: true,
        devices: Vec::new(),
    };
    assert_eq!(to_bytes(&usb).unwrap(), expected);
    let device = AssignableDevice {
        sysfsPath: "ab".to_owned(),
        dtboLabel: String::new(),
    };
    #[rustfmt::skip]
    let expected = [
        1, 0, 0, 0, 24, 0, 0, 0,
        2, 0, 0, 0, b'a', 0, b'b', 0, 0, 0, 0, 0, // two units, NUL, padding
        0, 0, 0, 0, 0, 0, 0, 0, // no unit, NUL, padding
    ];
    assert_eq!(to_bytes(&device).unwrap(), expected);
}

#[test]
fn a_missing_file_is_an_error() {
    let mouse = crate::r17_1::service::input_device::Mouse { pfd: None };
    assert_eq!(to_bytes(&mouse), Err(rsbinder::StatusCode::UnexpectedNull));
}

/// Android 16 before its QPRs ends a config before hostServices, the previews of 17 before ramdump.
#[test]
fn fields_that_a_sender_leaves_out_have_their_defaults() {
    use crate::{r16, r17};
    fn without_tail<T: Serialize + Deserialize>(value: &T, tail: usize) -> T {
        let mut bytes = to_bytes(value).unwrap();
        bytes.truncate(bytes.len() - tail);
        let size = i32::try_from(bytes.len() - 4).unwrap();
        bytes[4..8].copy_from_slice(&size.to_le_bytes());
        rsbinder::from_bytes(&bytes).unwrap()
    }
    let raw = r16::service::VirtualMachineRawConfig {
        enableHypervisorSpecificAuthMethod: true,
        ..Default::default()
    };
    let raw = without_tail(&raw, 4);
    assert!(raw.enableHypervisorSpecificAuthMethod);
    assert_eq!(raw.hostServices, Vec::<String>::new());
    let raw = r17::service::VirtualMachineRawConfig {
        ramdump: false,
        ..Default::default()
    };
    assert!(without_tail(&raw, 4).ramdump);
}
