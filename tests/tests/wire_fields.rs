// SPDX-License-Identifier: Apache-2.0
//! Fields that a host without special hardware cannot honour, set by clients of every release that has
//! them: each is refused by its name, and none is ignored.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use system_tests::host;
use system_tests::raw_client::{Failure, RawClient};
use system_tests::raw_vm::Files;
use wire_bytes::schema::Type;
use wire_bytes::{Layout, Value};

/// Exceptions that say what is wrong with a field: BAD_PARCELABLE, ILLEGAL_ARGUMENT,
/// UNSUPPORTED_OPERATION, and a service-specific one.
const REFUSED: [i32; 4] = [-2, -3, -7, -8];
/// A file of the VM's: that of its second disk.
const FILE: usize = 4;
/// Fields that are honoured with any value that is set here.
const HONOURED: &[&str] = &[
    "name",
    "instanceId",
    "initrd",
    "params",
    "memoryMib",
    "cpuTopology",
    "cpuOptions",
    "gdbPort",
    "hugePages",
    "displayConfig",
    "boostUclamp",
    "noBalloon",
    "balloon",
    "ramdump",
    // A name that is for logs.
    "osName",
    // For protected VMs, and this is none.
    "swiotlbMib",
    "allowVgicItsInPvm",
    // Whether a guest is offered what this project has not.
    "enableSecretkeeper",
];
/// Fields whose last release has a part that needs more.
const HONOURED_BEFORE_17_1: &[&str] = &["gpuConfig", "usbConfig"];

/// A value of this type in which everything is set.
fn set(ty: &Type) -> Value {
    match ty {
        Type::Bool => Value::Bool(true),
        Type::Int => Value::Int(1),
        Type::Long => Value::Long(1 << 20),
        Type::Enum(end) => Value::Int(end - 1),
        Type::Text => Value::text("some"),
        Type::Bytes64 => Value::Bytes(vec![1; 64]),
        Type::Descriptor => Value::Descriptor(FILE),
        Type::Array(ty) => Value::Array(vec![set(ty)]),
        Type::Nullable(Type::Binder) | Type::Binder => Value::Null,
        Type::Nullable(ty) => set(ty),
        Type::Parcelable(parcelable) => {
            let fields = parcelable.fields.iter();
            Value::Parcelable(fields.map(|field| set(&field.ty)).collect())
        }
        Type::Union(union) => Value::union(0, set(&union.fields[0].ty)),
    }
}

#[test]
fn what_cannot_be_honoured_is_refused_by_name() {
    host::run("what_cannot_be_honoured_is_refused_by_name", |host| {
        for layout in Layout::ALL {
            let qemu = [("VIRTMGR_VMM", "qemu-system-x86_64")];
            let client = RawClient::start_with(host, "virtmgr", layout, &qemu);
            let files = Files::new(host, "vm", &[]);
            for (place, field) in layout.raw_config().fields.iter().enumerate() {
                let name = field.name;
                let is_honoured = HONOURED.contains(&name)
                    || layout != Layout::A17_1 && HONOURED_BEFORE_17_1.contains(&name);
                let answer = files.create_with(&client, place, set(&field.ty));
                match answer {
                    Ok(vm) => {
                        assert!(is_honoured, "{}: {name} is ignored", layout.name());
                        drop(vm);
                    }
                    Err(Failure::Exception { code, text, .. }) => {
                        assert!(!is_honoured, "{}: {name}: {text}", layout.name());
                        assert!(REFUSED.contains(&code), "{name}: {code}: {text}");
                        // The field of 17.1 is called as the one that it replaces.
                        let told = match name {
                            "deviceAssignmentConfig" => "devices",
                            name => name,
                        };
                        assert!(text.contains(told), "{}: {name}: {text}", layout.name());
                    }
                    Err(failure) => panic!("{}: {name}: {failure:?}", layout.name()),
                }
            }
            client.close();
        }
    });
}
