// SPDX-License-Identifier: Apache-2.0
//! Android 17.

use super::{ID, Item::*, assert_codes, assert_values, assert_words, fd};
use crate::r17::common::*;
use crate::r17::generated::android::system as interfaces;
use crate::r17::service::cpu_options::CpuTopology;
use crate::r17::service::*;
use crate::r17::service::{app_config::*, input_device::*};

#[test]
fn transaction_codes() {
    assert_codes!(
        interfaces::virtualizationservice::IVirtualizationService,
        createVm: 1, allocateInstanceId: 2, initializeWritablePartition: 3,
        setEncryptedStorageSize: 4, createOrUpdateIdsigFile: 5, debugListVms: 6,
        getAssignableDevices: 7, getSupportedOSList: 8, getDebugPolicy: 9,
        isFeatureEnabled: 10, enableTestAttestation: 11, isRemoteAttestationSupported: 12,
        isUpdatableVmSupported: 13, removeVmInstance: 14, claimVmInstance: 15,
        startOrStopAdbd: 16, requestShutdown: 17,
    );
    assert_codes!(
        interfaces::virtualizationservice::IVirtualMachine,
        getCid: 1, getState: 2, registerCallback: 3, start: 4, stop: 5,
        isMemoryBalloonEnabled: 6, getActualMemoryBalloonBytes: 7, setMemoryBalloon: 8,
        connectVsock: 9, createAccessorBinder: 10, setHostConsoleName: 11, suspend: 12,
        resume: 13, getDebugInfo: 14, addMemoryToGuest: 15, removeMemoryFromGuest: 16,
        getGuestAgent: 17, addDisplay: 18, removeDisplay: 19, getDisplays: 20,
    );
    assert_codes!(
        interfaces::virtualizationservice::IVirtualMachineCallback,
        onPayloadStarted: 1, onPayloadReady: 2, onPayloadFinished: 3, onError: 4, onDied: 5,
        onGuestAgentRegistered: 6,
    );
    assert_codes!(
        interfaces::virtualmachineservice::IVirtualMachineService,
        registerGuestAgent: 2, notifyPayloadStarted: 3, notifyPayloadReady: 4,
        notifyPayloadFinished: 5, notifyError: 6, requestAttestation: 7, getSecretkeeper: 8,
        claimSecretkeeperEntry: 9, getHostRpcProvider: 10, getEncryptedStoreKEK: 11,
        forwardAtom: 12,
    );
    assert_codes!(
        crate::r17::generated::android::hardware::security::secretkeeper::ISecretkeeper,
        getAuthGraphKe: 1, processSecretManagementRequest: 2, deleteIds: 3, deleteAll: 4,
        getSecretkeeperIdentity: 5,
    );
    assert_codes!(
        crate::r17::generated::android::hardware::security::authgraph::IAuthGraphKeyExchange,
        create: 1, init: 2, finish: 3, authenticationComplete: 4,
    );
    assert_codes!(
        interfaces::virtualizationcommon::IEncryptedStoreKEK,
        getKEK: 1, onKEKCreated: 2,
    );
    assert_codes!(
        crate::r17::generated::android::os::IRpcProvider,
        getServiceConnectionInfo: 1,
    );
    assert_codes!(
        interfaces::virtualizationcommon::ICEStoreKEK,
        getKEK: 1, onKEKCreated: 2,
    );
    assert_codes!(
        interfaces::virtualizationcommon::IGuestAgent,
        shutdownAsync: 2, startDumpVsockServer: 3, trimAsync: 5, userUnlocked: 6,
    );
}

#[test]
fn fields_of_a_raw_config() {
    let config = VirtualMachineRawConfig {
        name: "vm".to_owned(),
        instanceId: ID,
        osName: "debian".to_owned(),
        kernel: Some(fd()),
        initrd: None,
        params: Some("quiet".to_owned()),
        bootloader: None,
        pflash: vec![fd()],
        disks: vec![DiskImage::default()],
        sharedPaths: vec![SharedPath {
            sharedPath: "/d".to_owned(),
            hostUid: 1,
            hostGid: 2,
            guestUid: 3,
            guestGid: 4,
            mask: 5,
            tag: "t".to_owned(),
            socketPath: "s".to_owned(),
        }],
        protectedVm: true,
        customPvmfw: Some(fd()),
        memoryMib: 512,
        swiotlbMib: 14,
        cpuOptions: CpuOptions {
            cpuTopology: CpuTopology::CpuCount(3),
        },
        platformVersion: "~1.0".to_owned(),
        gdbPort: 1234,
        hugePages: false,
        devices: AssignedDevices::Devices(vec!["dev".to_owned()]),
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
        audioConfig: Some(AudioConfig {
            useMicrophone: false,
            useSpeaker: true,
        }),
        balloon: true,
        allowVgicItsInPvm: true,
        usbConfig: Some(UsbConfig { controller: true }),
        teeServices: vec!["vendor.a".to_owned()],
        enableHypervisorSpecificAuthMethod: true,
        customMemoryBackingFiles: vec![CustomMemoryBackingFile {
            file: Some(fd()),
            rangeStart: 4096,
            size: 1 << 32,
        }],
        hostServices: vec!["stats".to_owned()],
        smbiosOptions: Some(SmbiosOptions {
            biosVendor: Some("v".to_owned()),
            uuid: Some("u".to_owned()),
            oemStrings: vec!["o".to_owned()],
            ..Default::default()
        }),
        ramdump: true,
    };
    #[rustfmt::skip]
    let fields = vec![
        Text("vm"), // name
        Bytes(&ID), // instanceId
        Text("debian"), // osName
        Fd, // kernel
        Int(0), // initrd
        Text("quiet"), // params
        Int(0), // bootloader
        List(vec![Fd]), // pflash
        List(vec![Parcelable(vec![Int(0), Int(0), List(vec![]), Int(-1)])]), // disks
        List(vec![Parcelable(vec![Text("/d"), Int(1), Int(2), Int(3), Int(4), Int(5), Text("t"), Text("s")])]), // sharedPaths
        Int(1), // protectedVm
        Fd, // customPvmfw
        Int(512), // memoryMib
        Int(14), // swiotlbMib
        Parcelable(vec![Union(0, Box::new(Int(3)))]), // cpuOptions
        Text("~1.0"), // platformVersion
        Int(1234), // gdbPort
        Int(0), // hugePages
        Union(0, Box::new(List(vec![Text("dev")]))), // devices
        Parcelable(vec![Int(720), Int(1280), Int(320), Int(-1), Int(60)]), // displayConfig
        List(vec![Union(0, Box::new(Parcelable(vec![Fd, Int(1280), Int(1080), Text("")]))), Union(3, Box::new(Parcelable(vec![Fd])))]), // inputDevices
        Int(1), // networkSupported
        Text("ttyS0"), // consoleInputDevice
        Int(0), // boostUclamp
        Parcelable(vec![Int(-1), List(vec![Text("virgl2")]), Int(-1), Int(-1), Int(0), Int(0), Int(1), Int(0), Int(0)]), // gpuConfig
        Parcelable(vec![Int(0), Int(1)]), // audioConfig
        Int(1), // balloon
        Int(1), // allowVgicItsInPvm
        Parcelable(vec![Int(1)]), // usbConfig
        List(vec![Text("vendor.a")]), // teeServices
        Int(1), // enableHypervisorSpecificAuthMethod
        List(vec![Parcelable(vec![Fd, Long(4096), Long(1 << 32)])]), // customMemoryBackingFiles
        List(vec![Text("stats")]), // hostServices
        Parcelable(vec![Text("v"), Int(-1), Int(-1), Int(-1), Int(-1), Text("u"), List(vec![Text("o")])]), // smbiosOptions
        Int(1), // ramdump
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
        tenantApks: vec![fd(), fd()],
        tenantIdsigs: vec![],
        instanceImage: Some(fd()),
        encryptedStorageImage: None,
        payload: Payload::ConfigPath("c".to_owned()),
        osName: "debian".to_owned(),
        debugLevel: DebugLevel::FULL,
        protectedVm: true,
        memoryMib: 512,
        cpuOptions: CpuOptions {
            cpuTopology: CpuTopology::CpuCount(3),
        },
        customConfig: Some(CustomConfig {
            customKernelImage: Some(fd()),
            gdbPort: 7,
            vendorImage: None,
            devices: vec!["dev".to_owned()],
            wantUpdatable: true,
            networkSupported: false,
            extraKernelCmdlineParams: vec!["a=b".to_owned()],
            teeServices: vec!["vendor.b".to_owned()],
        }),
        hugePages: false,
        boostUclamp: false,
        hostServices: vec!["stats".to_owned()],
        shouldDelayEncryptedStoreSetup: true,
        encryptedStoreKEK: None,
        autoStartAdbd: true,
        ramdump: true,
    };
    #[rustfmt::skip]
    let fields = vec![
        Text("vm"), // name
        Bytes(&ID), // instanceId
        Fd, // apk
        Fd, // idsig
        List(vec![Fd]), // extraIdsigs
        List(vec![Fd, Fd]), // tenantApks
        List(vec![]), // tenantIdsigs
        Fd, // instanceImage
        Int(0), // encryptedStorageImage
        Union(0, Box::new(Text("c"))), // payload
        Text("debian"), // osName
        Int(1), // debugLevel
        Int(1), // protectedVm
        Int(512), // memoryMib
        Parcelable(vec![Union(0, Box::new(Int(3)))]), // cpuOptions
        Parcelable(vec![Fd, Int(7), Int(0), List(vec![Text("dev")]), Int(1), Int(0), List(vec![Text("a=b")]), List(vec![Text("vendor.b")])]), // customConfig
        Int(0), // hugePages
        Int(0), // boostUclamp
        List(vec![Text("stats")]), // hostServices
        Int(1), // shouldDelayEncryptedStoreSetup
        NullBinder, // encryptedStoreKEK
        Int(1), // autoStartAdbd
        Int(1), // ramdump
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
        HANGUP: 16, WATCHDOG_REBOOT: 17, HOST_SHUTDOWN: 18,
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
    assert_eq!(raw.cpuOptions.cpuTopology, CpuTopology::CpuCount(1));
    assert!(!raw.balloon);
    assert!(raw.ramdump);
    assert!(app.ramdump);
    assert!(!app.autoStartAdbd);
    let touch = SingleTouch::default();
    assert_eq!(
        (touch.width, touch.height, touch.name.as_str()),
        (1280, 1080, "")
    );
    let touch = MultiTouch::default();
    assert_eq!(
        (touch.width, touch.height, touch.name.as_str()),
        (1280, 1080, "")
    );
    let pad = Trackpad::default();
    assert_eq!((pad.width, pad.height, pad.name.as_str()), (1280, 1080, ""));
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
            guid: Some("g".to_owned()),
        }],
        id: Some("serial".to_owned()),
    };
    assert_words(
        &disk,
        &Parcelable(vec![
            Fd,
            Int(1),
            List(vec![Parcelable(vec![Text("p"), Fd, Int(1), Text("g")])]),
            Text("serial"),
        ]),
    );
    let device = AssignableDevice {
        node: "ab".to_owned(),
        dtbo_label: String::new(),
    };
    assert_words(&device, &Parcelable(vec![Text("ab"), Text("")]));
    let info = VirtualMachineDebugInfo {
        name: "vm".to_owned(),
        cid: 7,
        temporaryDirectory: "/t".to_owned(),
        requesterUid: 8,
        requesterPid: 9,
        hostConsoleName: None,
    };
    assert_words(
        &info,
        &Parcelable(vec![
            Text("vm"),
            Int(7),
            Text("/t"),
            Int(8),
            Int(9),
            Int(-1),
        ]),
    );
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
    let device = InputDevice::Switches(Switches { pfd: Some(fd()) });
    assert_words(&device, &Union(4, Box::new(Parcelable(vec![Fd]))));
    let device = InputDevice::Trackpad(Trackpad {
        pfd: Some(fd()),
        ..Default::default()
    });
    assert_words(
        &device,
        &Union(
            5,
            Box::new(Parcelable(vec![Fd, Int(1280), Int(1080), Text("")])),
        ),
    );
    let device = InputDevice::MultiTouch(MultiTouch {
        pfd: Some(fd()),
        ..Default::default()
    });
    assert_words(
        &device,
        &Union(
            6,
            Box::new(Parcelable(vec![Fd, Int(1280), Int(1080), Text("")])),
        ),
    );
    let cpus = CpuOptions {
        cpuTopology: CpuTopology::MatchHost(true),
    };
    assert_words(&cpus, &Parcelable(vec![Union(1, Box::new(Int(1)))]));
    let devices = AssignedDevices::Dtbo(Some(fd()));
    assert_words(&devices, &Union(1, Box::new(Fd)));
    let display = VirtualMachineDisplay {
        id: 4,
        config: DisplayConfig {
            width: 1,
            height: 2,
            horizontalDpi: 3,
            verticalDpi: 4,
            refreshRate: 5,
        },
    };
    assert_words(
        &display,
        &Parcelable(vec![
            Int(4),
            Parcelable(vec![Int(1), Int(2), Int(3), Int(4), Int(5)]),
        ]),
    );
}
