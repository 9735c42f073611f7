// SPDX-License-Identifier: Apache-2.0
//! Android 15.

use super::{ID, Item::*, assert_codes, assert_values, assert_words, fd};
use crate::r15::common::*;
use crate::r15::generated::android::system as interfaces;
use crate::r15::service::*;
use crate::r15::service::{app_config::*, input_device::*};

#[test]
fn transaction_codes() {
    assert_codes!(
        interfaces::virtualizationservice::IVirtualizationService,
        createVm: 1, allocateInstanceId: 2, initializeWritablePartition: 3,
        createOrUpdateIdsigFile: 4, debugListVms: 5, getAssignableDevices: 6,
        getSupportedOSList: 7, isFeatureEnabled: 8, enableTestAttestation: 9,
        isRemoteAttestationSupported: 10, isUpdatableVmSupported: 11, removeVmInstance: 12,
        claimVmInstance: 13,
    );
    assert_codes!(
        interfaces::virtualizationservice::IVirtualMachine,
        getCid: 1, getState: 2, registerCallback: 3, start: 4, stop: 5, onTrimMemory: 6,
        connectVsock: 7,
    );
    assert_codes!(
        interfaces::virtualizationservice::IVirtualMachineCallback,
        onPayloadStarted: 1, onPayloadReady: 2, onPayloadFinished: 3, onError: 4, onDied: 5,
    );
    assert_codes!(
        interfaces::virtualmachineservice::IVirtualMachineService,
        notifyPayloadStarted: 1, notifyPayloadReady: 2, notifyPayloadFinished: 3,
        notifyError: 4, requestAttestation: 5, getSecretkeeper: 6,
    );
    assert_codes!(
        crate::r15::generated::android::hardware::security::secretkeeper::ISecretkeeper,
        getAuthGraphKe: 1, processSecretManagementRequest: 2, deleteIds: 3, deleteAll: 4,
    );
    assert_codes!(
        crate::r15::generated::android::hardware::security::authgraph::IAuthGraphKeyExchange,
        create: 1, init: 2, finish: 3, authenticationComplete: 4,
    );
}

#[test]
fn fields_of_a_raw_config() {
    let config = VirtualMachineRawConfig {
        name: "vm".to_owned(),
        instanceId: ID,
        kernel: Some(fd()),
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
        displayConfig: Some(DisplayConfig {
            width: 720,
            height: 1280,
            horizontalDpi: 320,
            verticalDpi: -1,
            refreshRate: 60,
        }),
        inputDevices: vec![
            InputDevice::SingleTouch(SingleTouch {
                pfd: Some(fd()),
                ..Default::default()
            }),
            InputDevice::Mouse(Mouse { pfd: Some(fd()) }),
        ],
        networkSupported: true,
        consoleInputDevice: Some("ttyS0".to_owned()),
        boostUclamp: false,
        gpuConfig: Some(GpuConfig {
            contextTypes: Some(vec![Some("virgl2".to_owned())]),
            rendererUseGlx: true,
            ..Default::default()
        }),
    };
    #[rustfmt::skip]
    let fields = vec![
        Text("vm"), // name
        Bytes(&ID), // instanceId
        Fd, // kernel
        Int(0), // initrd
        Text("quiet"), // params
        Int(0), // bootloader
        List(vec![Parcelable(vec![Int(0), Int(0), List(vec![])])]), // disks
        Int(1), // protectedVm
        Int(512), // memoryMib
        Int(1), // cpuTopology
        Text("~1.0"), // platformVersion
        Int(1234), // gdbPort
        Int(0), // hugePages
        List(vec![Text("dev")]), // devices
        Parcelable(vec![Int(720), Int(1280), Int(320), Int(-1), Int(60)]), // displayConfig
        List(vec![Union(0, Box::new(Parcelable(vec![Fd, Int(1280), Int(1080), Text("")]))), Union(3, Box::new(Parcelable(vec![Fd])))]), // inputDevices
        Int(1), // networkSupported
        Text("ttyS0"), // consoleInputDevice
        Int(0), // boostUclamp
        Parcelable(vec![Int(-1), List(vec![Text("virgl2")]), Int(-1), Int(-1), Int(0), Int(0), Int(1), Int(0), Int(0)]), // gpuConfig
    ];
    let config = VirtualMachineConfig::RawConfig(config);
    assert_words(&config, &Union(1, Box::new(Parcelable(fields))));
}

#[test]
fn fields_of_an_app_config() {
    let config = VirtualMachineAppConfig {
        name: "vm".to_owned(),
        instanceId: ID,
        apk: Some(fd()),
        idsig: Some(fd()),
        extraIdsigs: vec![fd()],
        instanceImage: Some(fd()),
        encryptedStorageImage: None,
        payload: Payload::ConfigPath("c".to_owned()),
        osName: "debian".to_owned(),
        debugLevel: DebugLevel::FULL,
        protectedVm: true,
        memoryMib: 512,
        cpuTopology: CpuTopology::MATCH_HOST,
        customConfig: Some(CustomConfig {
            customKernelImage: Some(fd()),
            gdbPort: 7,
            vendorImage: None,
            devices: vec!["dev".to_owned()],
            wantUpdatable: true,
            networkSupported: false,
        }),
        hugePages: false,
        boostUclamp: false,
    };
    #[rustfmt::skip]
    let fields = vec![
        Text("vm"), // name
        Bytes(&ID), // instanceId
        Fd, // apk
        Fd, // idsig
        List(vec![Fd]), // extraIdsigs
        Fd, // instanceImage
        Int(0), // encryptedStorageImage
        Union(0, Box::new(Text("c"))), // payload
        Text("debian"), // osName
        Int(1), // debugLevel
        Int(1), // protectedVm
        Int(512), // memoryMib
        Int(1), // cpuTopology
        Parcelable(vec![Fd, Int(7), Int(0), List(vec![Text("dev")]), Int(1), Int(0)]), // customConfig
        Int(0), // hugePages
        Int(0), // boostUclamp
    ];
    let config = VirtualMachineConfig::AppConfig(config);
    assert_words(&config, &Union(0, Box::new(Parcelable(fields))));
}

#[test]
fn enum_values() {
    assert_values!(
        DeathReason: i32,
        INFRASTRUCTURE_ERROR: 0, KILLED: 1, UNKNOWN: 2, SHUTDOWN: 3, START_FAILED: 4,
        REBOOT: 5, CRASH: 6, PVM_FIRMWARE_PUBLIC_KEY_MISMATCH: 7,
        PVM_FIRMWARE_INSTANCE_IMAGE_CHANGED: 8,
        MICRODROID_FAILED_TO_CONNECT_TO_VIRTUALIZATION_SERVICE: 11,
        MICRODROID_PAYLOAD_HAS_CHANGED: 12, MICRODROID_PAYLOAD_VERIFICATION_FAILED: 13,
        MICRODROID_INVALID_PAYLOAD_CONFIG: 14, MICRODROID_UNKNOWN_RUNTIME_ERROR: 15,
        HANGUP: 16, WATCHDOG_REBOOT: 17,
    );
    assert_values!(
        ErrorCode: i32,
        UNKNOWN: 0, PAYLOAD_VERIFICATION_FAILED: 1, PAYLOAD_CHANGED: 2,
        PAYLOAD_INVALID_CONFIG: 3,
    );
    assert_values!(
        VirtualMachineState: i32,
        NOT_STARTED: 0, STARTING: 1, STARTED: 2, READY: 3, FINISHED: 4, DEAD: 6,
    );
    assert_values!(
        PartitionType: i32,
        RAW: 0, ANDROID_VM_INSTANCE: 1, ENCRYPTEDSTORE: 2,
    );
    assert_values!(
        DebugLevel: i8,
        NONE: 0, FULL: 1,
    );
    assert_values!(
        CpuTopology: i8,
        ONE_CPU: 0, MATCH_HOST: 1,
    );
    assert_values!(
        MemoryTrimLevel: i32,
        TRIM_MEMORY_RUNNING_CRITICAL: 0, TRIM_MEMORY_RUNNING_LOW: 1,
        TRIM_MEMORY_RUNNING_MODERATE: 2,
    );
}

#[test]
fn defaults() {
    let app = VirtualMachineAppConfig::default();
    assert_eq!(app.osName, "microdroid");
    assert_eq!(app.debugLevel, DebugLevel::NONE);
    let custom = CustomConfig::default();
    assert!(custom.wantUpdatable);
    assert_eq!(custom.gdbPort, 0);
    let raw = VirtualMachineRawConfig::default();
    assert_eq!(raw.gdbPort, 0);
    assert_eq!(raw.cpuTopology, CpuTopology::ONE_CPU);
    assert_eq!(app.cpuTopology, CpuTopology::ONE_CPU);
    let touch = SingleTouch::default();
    assert_eq!(
        (touch.width, touch.height, touch.name.as_str()),
        (1280, 1080, "")
    );
}

#[test]
fn small_parcelables() {
    let disk = DiskImage {
        image: Some(fd()),
        writable: true,
        partitions: vec![Partition {
            label: "p".to_owned(),
            image: Some(fd()),
            writable: true,
        }],
    };
    assert_words(
        &disk,
        &Parcelable(vec![
            Fd,
            Int(1),
            List(vec![Parcelable(vec![Text("p"), Fd, Int(1)])]),
        ]),
    );
    let device = AssignableDevice {
        node: "ab".to_owned(),
        dtbo_label: String::new(),
    };
    assert_words(&device, &Parcelable(vec![Text("ab"), Text("")]));
    let info = VirtualMachineDebugInfo {
        cid: 7,
        temporaryDirectory: "/t".to_owned(),
        requesterUid: 8,
        requesterPid: 9,
    };
    assert_words(&info, &Parcelable(vec![Int(7), Text("/t"), Int(8), Int(9)]));
    let payload = Payload::PayloadConfig(VirtualMachinePayloadConfig {
        payloadBinaryName: "lib.so".to_owned(),
        extraApks: vec![fd()],
    });
    assert_words(
        &payload,
        &Union(
            1,
            Box::new(Parcelable(vec![Text("lib.so"), List(vec![Fd])])),
        ),
    );
    let certificate = Certificate {
        encodedCertificate: vec![1, 2, 3, 4],
    };
    assert_words(&certificate, &Parcelable(vec![Bytes(&[1, 2, 3, 4])]));
    let device = InputDevice::EvDev(EvDev { pfd: Some(fd()) });
    assert_words(&device, &Union(1, Box::new(Parcelable(vec![Fd]))));
    let device = InputDevice::Keyboard(Keyboard { pfd: Some(fd()) });
    assert_words(&device, &Union(2, Box::new(Parcelable(vec![Fd]))));
    let device = InputDevice::Mouse(Mouse { pfd: Some(fd()) });
    assert_words(&device, &Union(3, Box::new(Parcelable(vec![Fd]))));
}
