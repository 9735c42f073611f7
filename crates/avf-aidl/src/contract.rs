// SPDX-License-Identifier: Apache-2.0
//! Holds the generated code to Android's wire contract, written out here as literals: transaction
//! codes, enum values, and parcels put together by hand.

use rsbinder::{Deserialize, Serialize, from_bytes, to_bytes};

use crate::common::{DeathReason, ErrorCode};
use crate::generated::android::system::{virtualizationservice, virtualmachineservice};
use crate::service::{
    AssignableDevice, AudioConfig, CpuTopology, DiskImage, DisplayConfig, GpuConfig, PartitionType,
    UsbConfig, VirtualMachineRawConfig, VirtualMachineState, app_config::DebugLevel,
    app_config::Payload,
};

/// Asserts the transaction code of each method of one interface.
macro_rules! assert_codes {
    ($module:path, $($method:ident = $code:literal),+ $(,)?) => {{
        use $module as interface;
        $(assert_eq!(interface::transactions::$method, $code, stringify!($method));)+
    }};
}

#[test]
fn codes_of_the_service() {
    assert_codes!(
        virtualizationservice::IVirtualizationService,
        createVm = 1,
        allocateInstanceId = 2,
        initializeWritablePartition = 3,
        createOrUpdateIdsigFile = 4,
        debugListVms = 5,
        getAssignableDevices = 6,
        getSupportedOSList = 7,
        isFeatureEnabled = 8,
        enableTestAttestation = 9,
        isRemoteAttestationSupported = 10,
        isUpdatableVmSupported = 11,
        removeVmInstance = 12,
        claimVmInstance = 13,
    );
}

#[test]
fn codes_of_a_vm_and_its_listener() {
    assert_codes!(
        virtualizationservice::IVirtualMachine,
        getCid = 1,
        getState = 2,
        registerCallback = 3,
        start = 4,
        stop = 5,
        getMemoryBalloon = 6,
        setMemoryBalloon = 7,
        connectVsock = 8,
        setHostConsoleName = 9,
        suspend = 10,
        resume = 11,
    );
    assert_codes!(
        virtualizationservice::IVirtualMachineCallback,
        onPayloadStarted = 1,
        onPayloadReady = 2,
        onPayloadFinished = 3,
        onError = 4,
        onDied = 5,
    );
}

#[test]
fn codes_that_a_guest_uses() {
    assert_codes!(
        virtualmachineservice::IVirtualMachineService,
        notifyPayloadStarted = 1,
        notifyPayloadReady = 2,
        notifyPayloadFinished = 3,
        notifyError = 4,
        requestAttestation = 5,
        getSecretkeeper = 6,
    );
    use crate::generated::android::hardware::security;
    assert_codes!(
        security::secretkeeper::ISecretkeeper,
        getAuthGraphKe = 1,
        processSecretManagementRequest = 2,
        deleteIds = 3,
        deleteAll = 4,
    );
    assert_codes!(
        security::authgraph::IAuthGraphKeyExchange,
        create = 1,
        init = 2,
        finish = 3,
        authenticationComplete = 4,
    );
}

#[cfg(feature = "full")]
#[test]
fn codes_of_the_global_service() {
    use crate::generated::android;
    assert_codes!(
        android::system::virtualizationservice_internal::IVirtualizationServiceInternal,
        removeMemlockRlimit = 1,
        allocateGlobalVmContext = 2,
        atomVmBooted = 3,
        atomVmCreationRequested = 4,
        atomVmExited = 5,
        debugListVms = 6,
        requestAttestation = 7,
        enableTestAttestation = 8,
        isRemoteAttestationSupported = 9,
        getAssignableDevices = 10,
        bindDevicesToVfioDriver = 11,
        getDtboFile = 12,
        allocateInstanceId = 13,
        removeVmInstance = 14,
        claimVmInstance = 15,
        setDisplayService = 16,
        clearDisplayService = 17,
        waitDisplayService = 18,
        createTapInterface = 19,
        deleteTapInterface = 20,
    );
    assert_codes!(
        android::system::virtualizationservice_internal::IGlobalVmContext,
        getCid = 1,
        getTemporaryDirectory = 2,
        setHostConsoleName = 3,
    );
    assert_codes!(android::os::IPermissionController, checkPermission = 1);
    // Of the definition that has getPackageUid.
    assert_codes!(
        android::content::pm::IPackageManagerNative,
        getStagedApexModuleNames = 14,
        getStagedApexInfo = 15,
    );
}

/// A program built without the feature must not even contain these names.
#[cfg(not(feature = "full"))]
#[test]
fn the_base_names_no_interface_of_the_full_system() {
    let code = include_str!(concat!(env!("OUT_DIR"), "/avf.rs"));
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

#[test]
fn descriptors_are_the_full_names() {
    use crate::{guest::BpVirtualMachineService, service::BpVirtualizationService};
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

#[test]
fn enum_values() {
    assert_eq!(
        DeathReason::enum_values().map(|reason| reason.0),
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16, 17]
    );
    assert_eq!(DeathReason::CRASH.0, 6);
    assert_eq!(DeathReason::MICRODROID_PAYLOAD_HAS_CHANGED.0, 12);
    assert_eq!(DeathReason::HANGUP.0, 16);
    assert_eq!(DeathReason::WATCHDOG_REBOOT.0, 17);
    assert_eq!(ErrorCode::enum_values().map(|code| code.0), [0, 1, 2, 3]);
    assert_eq!(
        VirtualMachineState::enum_values().map(|state| state.0),
        [0, 1, 2, 3, 4, 6]
    );
    assert_eq!(VirtualMachineState::DEAD.0, 6);
    assert_eq!(
        PartitionType::enum_values().map(|kind| kind.0),
        [0, 1, 2_i32]
    );
    assert_eq!(
        CpuTopology::enum_values().map(|topology| topology.0),
        [0, 1_i8]
    );
    assert_eq!(DebugLevel::enum_values().map(|level| level.0), [0, 1_i8]);
}

#[test]
fn defaults() {
    use crate::service::{
        VirtualMachineAppConfig, app_config::CustomConfig, input_device::SingleTouch,
    };
    let app = VirtualMachineAppConfig::default();
    assert_eq!(app.osName, "microdroid");
    assert_eq!(app.debugLevel, DebugLevel::NONE);
    assert!(CustomConfig::default().wantUpdatable);
    let touch = SingleTouch::default();
    assert_eq!((touch.width, touch.height), (1280, 1080));
    assert_eq!(touch.name, "");
}

/// Writes a parcel's bytes without rsbinder: everything is little endian and padded to 4 bytes.
#[derive(Default)]
struct Wire(Vec<u8>);

impl Wire {
    fn int(mut self, value: i32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Length in UTF-16 units, the units, a NUL.
    fn string(mut self, text: &str) -> Self {
        let units: Vec<u16> = text.encode_utf16().collect();
        self = self.int(i32::try_from(units.len()).unwrap());
        for unit in units.into_iter().chain([0]) {
            self.0.extend(unit.to_le_bytes());
        }
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// Length and elements, one byte each.
    fn bytes(mut self, bytes: &[u8]) -> Self {
        self = self.int(i32::try_from(bytes.len()).unwrap());
        self.0.extend(bytes);
        self
    }

    /// A parcelable that is there: 1, the size including the size itself, the fields.
    fn parcelable(self, fields: Wire) -> Self {
        let size = i32::try_from(fields.0.len() + 4).unwrap();
        let mut outer = self.int(1).int(size);
        outer.0.extend(fields.0);
        outer
    }
}

fn assert_wire<T: Serialize + Deserialize>(value: &T, expected: &Wire) {
    assert_eq!(to_bytes(value).unwrap(), expected.0);
    let back: T = from_bytes(&expected.0).unwrap();
    assert_eq!(to_bytes(&back).unwrap(), expected.0, "after a round trip");
}

#[test]
fn small_parcelables_byte_for_byte() {
    let usb = UsbConfig { controller: true };
    assert_eq!(
        to_bytes(&usb).unwrap(),
        [1, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0]
    );

    let disk = DiskImage {
        image: None,
        writable: true,
        partitions: Vec::new(),
    };
    #[rustfmt::skip]
    let expected = [
        1, 0, 0, 0, // there is a disk
        16, 0, 0, 0, // of so many bytes
        0, 0, 0, 0, // without an image
        1, 0, 0, 0, // writable
        0, 0, 0, 0, // with no partition
    ];
    assert_eq!(to_bytes(&disk).unwrap(), expected);

    let display = DisplayConfig {
        width: 720,
        height: 1280,
        horizontalDpi: 320,
        verticalDpi: -1,
        refreshRate: 60,
    };
    #[rustfmt::skip]
    let expected = [
        1, 0, 0, 0, 24, 0, 0, 0,
        0xd0, 2, 0, 0, 0, 5, 0, 0, 0x40, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 60, 0, 0, 0,
    ];
    assert_eq!(to_bytes(&display).unwrap(), expected);

    let device = AssignableDevice {
        node: "ab".to_owned(),
        dtbo_label: String::new(),
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
fn unions_carry_the_field_number() {
    let payload = Payload::ConfigPath("c".to_owned());
    assert_wire(&payload, &Wire::default().int(1).int(0).string("c"));
    let payload = Payload::PayloadConfig(crate::service::VirtualMachinePayloadConfig {
        payloadBinaryName: "lib.so".to_owned(),
        extraApks: Vec::new(),
    });
    let fields = Wire::default().string("lib.so").int(0);
    assert_wire(&payload, &Wire::default().int(1).int(1).parcelable(fields));
}

#[test]
fn fields_of_a_raw_config_are_in_order() {
    let mut instance_id = [0; 64];
    instance_id[0] = 0xaa;
    instance_id[63] = 0xbb;
    let config = VirtualMachineRawConfig {
        name: "vm".to_owned(),
        instanceId: instance_id,
        kernel: None,
        initrd: None,
        params: Some("quiet".to_owned()),
        bootloader: None,
        disks: vec![DiskImage::default()],
        protectedVm: true,
        memoryMib: 512,
        cpuTopology: CpuTopology::MATCH_HOST,
        platformVersion: "~1.0".to_owned(),
        gdbPort: 1234,
        hugePages: false,
        devices: vec!["dev".to_owned()],
        displayConfig: None,
        inputDevices: Vec::new(),
        networkSupported: true,
        consoleInputDevice: Some("ttyS0".to_owned()),
        boostUclamp: false,
        gpuConfig: Some(GpuConfig {
            contextTypes: Some(vec![Some("virgl2".to_owned())]),
            rendererUseGlx: true,
            ..Default::default()
        }),
        audioConfig: Some(AudioConfig {
            useMicrophone: false,
            useSpeaker: true,
        }),
        noBalloon: true,
        usbConfig: Some(UsbConfig { controller: false }),
    };
    let disk = Wire::default().int(0).int(0).int(0);
    let gpu = Wire::default()
        .int(-1)
        .int(1)
        .string("virgl2")
        .int(-1)
        .int(-1)
        .int(0)
        .int(0)
        .int(1)
        .int(0)
        .int(0);
    let fields = Wire::default()
        .string("vm")
        .bytes(&instance_id)
        .int(0)
        .int(0)
        .string("quiet")
        .int(0)
        .int(1)
        .parcelable(disk)
        .int(1)
        .int(512)
        .int(1)
        .string("~1.0")
        .int(1234)
        .int(0)
        .int(1)
        .string("dev")
        .int(0)
        .int(0)
        .int(1)
        .string("ttyS0")
        .int(0)
        .parcelable(gpu)
        .parcelable(Wire::default().int(0).int(1))
        .int(1)
        .parcelable(Wire::default().int(0));
    assert_wire(&config, &Wire::default().parcelable(fields));
}

#[test]
fn a_missing_file_is_an_error() {
    let touch = crate::service::input_device::Mouse { pfd: None };
    assert_eq!(to_bytes(&touch), Err(rsbinder::StatusCode::UnexpectedNull));
}
