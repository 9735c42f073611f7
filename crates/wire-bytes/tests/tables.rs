// SPDX-License-Identifier: Apache-2.0
//! The tables, which list the fields of each layout in order, against the contract's other view: the
//! place of each field in every layout.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

use wire_bytes::Layout;
use wire_bytes::schema::{Parcelable, Type};

/// The layouts of the columns.
const COLUMNS: [Layout; 8] = [
    Layout::A15,
    Layout::A15Qpr1,
    Layout::A15Qpr2,
    Layout::A16,
    Layout::A16Hs,
    Layout::A17R1,
    Layout::A17,
    Layout::A17_1,
];
/// Not there.
const X: usize = usize::MAX;

#[rustfmt::skip]
const RAW: &[(&str, [usize; 8])] = &[
    ("name", [0, 0, 0, 0, 0, 0, 0, 0]),
    ("instanceId", [1, 1, 1, 1, 1, 1, 1, 1]),
    ("osName", [X, X, X, X, X, 2, 2, 2]),
    ("kernel", [2, 2, 2, 2, 2, 3, 3, 3]),
    ("initrd", [3, 3, 3, 3, 3, 4, 4, 4]),
    ("params", [4, 4, 4, 4, 4, 5, 5, 5]),
    ("bootloader", [5, 5, 5, 5, 5, 6, 6, 6]),
    ("pflash", [X, X, X, X, X, 7, 7, 7]),
    ("disks", [6, 6, 6, 6, 6, 8, 8, 8]),
    ("sharedPaths", [X, X, 7, 7, 7, 9, 9, 9]),
    ("protectedVm", [7, 7, 8, 8, 8, 10, 10, 10]),
    ("customPvmfw", [X, X, X, X, X, 11, 11, 11]),
    ("memoryMib", [8, 8, 9, 9, 9, 12, 12, 12]),
    ("swiotlbMib", [X, X, X, 10, 10, 13, 13, 13]),
    ("cpuTopology", [9, 9, 10, X, X, X, X, X]),
    ("cpuOptions", [X, X, X, 11, 11, 14, 14, 14]),
    ("platformVersion", [10, 10, 11, 12, 12, 15, 15, 15]),
    ("gdbPort", [11, 11, 12, 13, 13, 16, 16, 16]),
    ("hugePages", [12, 12, 13, 14, 14, 17, 17, 17]),
    ("devices", [13, 13, 14, 15, 15, 18, 18, X]),
    ("deviceAssignmentConfig", [X, X, X, X, X, X, X, 18]),
    ("displayConfig", [14, 14, 15, 16, 16, 19, 19, 19]),
    ("inputDevices", [15, 15, 16, 17, 17, 20, 20, 20]),
    ("networkSupported", [16, 16, 17, 18, 18, 21, 21, 21]),
    ("consoleInputDevice", [17, 17, 18, 19, 19, 22, 22, 22]),
    ("boostUclamp", [18, 18, 19, 20, 20, 23, 23, 23]),
    ("gpuConfig", [19, 19, 20, 21, 21, 24, 24, 24]),
    ("audioConfig", [X, 20, 21, 22, 22, 25, 25, 25]),
    ("noBalloon", [X, 21, 22, X, X, X, X, X]),
    ("balloon", [X, X, X, 23, 23, 26, 26, 26]),
    ("allowVgicItsInPvm", [X, X, X, X, X, 27, 27, 27]),
    ("usbConfig", [X, 22, 23, 24, 24, 28, 28, 28]),
    ("teeServices", [X, X, 24, 25, 25, 29, 29, 29]),
    ("enableHypervisorSpecificAuthMethod", [X, X, X, 26, 26, 30, 30, 30]),
    ("deviceTreeOverlay", [X, X, X, X, X, X, X, 31]),
    ("customMemoryBackingFiles", [X, X, X, 27, 27, 31, 31, 32]),
    ("hostServices", [X, X, X, X, 28, 32, 32, 33]),
    ("smbiosOptions", [X, X, X, X, X, 33, 33, 34]),
    ("ramdump", [X, X, X, X, X, X, 34, 35]),
    ("profileName", [X, X, X, X, X, X, X, 36]),
    ("enableSecretkeeper", [X, X, X, X, X, X, X, 37]),
];

#[rustfmt::skip]
const APP: &[(&str, [usize; 8])] = &[
    ("name", [0, 0, 0, 0, 0, 0, 0, 0]),
    ("instanceId", [1, 1, 1, 1, 1, 1, 1, 1]),
    ("apk", [2, 2, 2, 2, 2, 2, 2, 2]),
    ("idsig", [3, 3, 3, 3, 3, 3, 3, 3]),
    ("extraIdsigs", [4, 4, 4, 4, 4, 4, 4, 4]),
    ("tenantApks", [X, X, X, X, X, 5, 5, 5]),
    ("tenantIdsigs", [X, X, X, X, X, 6, 6, 6]),
    ("instanceImage", [5, 5, 5, 5, 5, 7, 7, 7]),
    ("encryptedStorageImage", [6, 6, 6, 6, 6, 8, 8, 8]),
    ("payload", [7, 7, 7, 7, 7, 9, 9, 9]),
    ("osName", [8, 8, 8, 8, 8, 10, 10, 10]),
    ("debugLevel", [9, 9, 9, 9, 9, 11, 11, 11]),
    ("protectedVm", [10, 10, 10, 10, 10, 12, 12, 12]),
    ("memoryMib", [11, 11, 11, 11, 11, 13, 13, 13]),
    ("cpuTopology", [12, 12, 12, X, X, X, X, X]),
    ("cpuOptions", [X, X, X, 12, 12, 14, 14, 14]),
    ("customConfig", [13, 13, 13, 13, 13, 15, 15, 15]),
    ("hugePages", [14, 14, 14, 14, 14, 16, 16, 16]),
    ("boostUclamp", [15, 15, 15, 15, 15, 17, 17, 17]),
    ("hostServices", [X, X, X, X, 16, 18, 18, 18]),
    ("shouldDelayEncryptedStoreSetup", [X, X, X, X, X, 19, 19, 19]),
    ("encryptedStoreKEK", [X, X, X, X, X, 20, 20, 20]),
    ("autoStartAdbd", [X, X, X, X, X, X, 21, 21]),
    ("ramdump", [X, X, X, X, X, X, 22, 22]),
    ("profileName", [X, X, X, X, X, X, X, 23]),
];

fn expect(rows: &[(&str, [usize; 8])], table: impl Fn(Layout) -> &'static Parcelable) {
    for (column, layout) in COLUMNS.into_iter().enumerate() {
        let fields = table(layout).fields;
        let mut count = 0;
        for (name, places) in rows {
            let place = fields.iter().position(|field| field.name == *name);
            assert_eq!(
                place.unwrap_or(X),
                places[column],
                "{name} in {}",
                layout.name()
            );
            count += usize::from(place.is_some());
        }
        assert_eq!(fields.len(), count, "{}", layout.name());
    }
}

#[test]
fn fields_are_where_the_contract_has_them() {
    expect(RAW, Layout::raw_config);
    expect(APP, Layout::app_config);
}

/// The layout between 16 and 17 is described by what it adds.
#[test]
fn the_layout_between_16_and_17() {
    let names = |layout: Layout| layout.raw_config().fields.iter().map(|field| field.name);
    let mut expected: Vec<_> = names(Layout::A16Hs).collect();
    expected.insert(2, "osName");
    let mut insert_after = |what: &str, new| {
        let place = expected.iter().position(|name| *name == what).unwrap();
        expected.insert(place + 1, new);
    };
    insert_after("protectedVm", "customPvmfw");
    insert_after("balloon", "allowVgicItsInPvm");
    assert_eq!(names(Layout::A16Main).collect::<Vec<_>>(), expected);
    assert!(std::ptr::eq(
        Layout::A16Main.app_config(),
        Layout::A16Hs.app_config()
    ));
}

/// The fields of the parcelable or union `name` inside `ty`, wherever it is.
fn find(ty: &Type, name: &str) -> Option<Vec<&'static str>> {
    let (found, fields) = match ty {
        Type::Parcelable(parcelable) => (parcelable.name, parcelable.fields),
        Type::Union(union) => (union.name, union.fields),
        Type::Array(ty) | Type::Nullable(ty) => return find(ty, name),
        _ => return None,
    };
    if found == name {
        return Some(fields.iter().map(|field| field.name).collect());
    }
    fields.iter().find_map(|field| find(&field.ty, name))
}

/// The last field of each part that grew, and how many it has.
#[test]
fn parts_have_the_form_of_their_release() {
    #[rustfmt::skip]
    let rows: &[(&str, [(&str, usize); 9])] = &[
        ("InputDevice", [("mouse", 4), ("multiTouch", 7), ("multiTouch", 7), ("multiTouch", 7), ("multiTouch", 7), ("multiTouch", 7), ("multiTouch", 7), ("multiTouch", 7), ("multiTouch", 7)]),
        ("Partition", [("writable", 3), ("guid", 4), ("guid", 4), ("guid", 4), ("guid", 4), ("guid", 4), ("guid", 4), ("guid", 4), ("guid", 4)]),
        ("DiskImage", [("partitions", 3), ("partitions", 3), ("partitions", 3), ("partitions", 3), ("partitions", 3), ("partitions", 3), ("id", 4), ("id", 4), ("id", 4)]),
        ("SharedPath", [("", 0), ("", 0), ("appDomain", 10), ("appDomain", 10), ("appDomain", 10), ("appDomain", 10), ("socketPath", 8), ("socketPath", 8), ("socketPath", 8)]),
        ("GpuConfig", [("rendererUseVulkan", 9), ("rendererUseVulkan", 9), ("rendererUseVulkan", 9), ("rendererUseVulkan", 9), ("rendererUseVulkan", 9), ("rendererUseVulkan", 9), ("rendererUseVulkan", 9), ("rendererUseVulkan", 9), ("waylandSocketFd", 10)]),
        ("UsbConfig", [("", 0), ("controller", 1), ("controller", 1), ("controller", 1), ("controller", 1), ("controller", 1), ("controller", 1), ("controller", 1), ("devices", 2)]),
        ("CustomConfig", [("networkSupported", 6), ("extraKernelCmdlineParams", 7), ("teeServices", 8), ("teeServices", 8), ("teeServices", 8), ("teeServices", 8), ("teeServices", 8), ("teeServices", 8), ("teeServices", 8)]),
        ("CpuOptions", [("", 0), ("", 0), ("", 0), ("cpuTopology", 1), ("cpuTopology", 1), ("cpuTopology", 1), ("cpuTopology", 1), ("cpuTopology", 1), ("cpuTopology", 1)]),
        ("AssignedDevices", [("", 0), ("", 0), ("", 0), ("dtbo", 2), ("dtbo", 2), ("dtbo", 2), ("dtbo", 2), ("dtbo", 2), ("", 0)]),
        ("AssignableDeviceSelector", [("", 0), ("", 0), ("", 0), ("", 0), ("", 0), ("", 0), ("", 0), ("", 0), ("byPath", 2)]),
        ("SmbiosOptions", [("", 0), ("", 0), ("", 0), ("", 0), ("", 0), ("", 0), ("oemStrings", 7), ("oemStrings", 7), ("oemStrings", 7)]),
        ("AudioConfig", [("", 0), ("useSpeaker", 2), ("useSpeaker", 2), ("useSpeaker", 2), ("useSpeaker", 2), ("useSpeaker", 2), ("useSpeaker", 2), ("useSpeaker", 2), ("useSpeaker", 2)]),
    ];
    for (name, forms) in rows {
        for (layout, form) in Layout::ALL.into_iter().zip(forms) {
            let fields = find(&Type::Union(layout.config()), name).unwrap_or_default();
            let last = fields.last().copied().unwrap_or_default();
            assert_eq!((last, fields.len()), *form, "{name} in {}", layout.name());
        }
    }
}

/// A few codes, typed once more.
#[test]
fn codes_of_methods() {
    let row = |method: &str| Layout::ALL.map(|layout| layout.machine_code(method).unwrap_or(0));
    assert_eq!(row("connectVsock"), [7, 8, 8, 9, 9, 9, 9, 9, 10]);
    assert_eq!(row("suspend"), [0, 10, 11, 12, 12, 12, 12, 12, 13]);
    assert_eq!(row("resume"), [0, 11, 12, 13, 13, 13, 13, 13, 14]);
    assert_eq!(row("stop"), [5, 5, 5, 5, 5, 5, 5, 5, 6]);
    assert_eq!(row("getDebugInfo"), [0, 0, 0, 0, 14, 14, 14, 14, 15]);
    let row = |method: &str| Layout::ALL.map(|layout| layout.service_code(method).unwrap_or(0));
    assert_eq!(row("debugListVms"), [5, 5, 5, 6, 6, 6, 6, 6, 6]);
    assert_eq!(
        row("enableTestAttestation"),
        [9, 9, 9, 11, 11, 11, 11, 11, 11]
    );
    assert_eq!(row("requestShutdown"), [0, 0, 0, 0, 0, 0, 0, 17, 17]);
}
