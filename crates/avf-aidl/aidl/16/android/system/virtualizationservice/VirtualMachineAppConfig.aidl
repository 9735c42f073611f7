// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

import android.system.virtualizationservice.CpuOptions;
import android.system.virtualizationservice.VirtualMachinePayloadConfig;

/** A VM that runs a payload out of an APK on a Microdroid system. */
parcelable VirtualMachineAppConfig {
    /** What runs in the VM. */
    union Payload {
        /** A path in the APK to a JSON description of the payload. */
        @utf8InCpp String configPath;

        /** The description itself. */
        VirtualMachinePayloadConfig payloadConfig;
    }

    /** How much of the VM can be looked into. */
    enum DebugLevel {
        /** Not at all. */
        NONE = 0,
        /** Logs, console, adb and debugger. */
        FULL = 1,
    }

    /** Settings that need the permission for custom VMs. */
    parcelable CustomConfig {
        /** A kernel in place of the system's own. */
        @nullable ParcelFileDescriptor customKernelImage;

        /** The TCP port of the debugger stub; 0 for none. */
        int gdbPort = 0;

        /** The image of the guest's vendor partition. */
        @nullable ParcelFileDescriptor vendorImage;

        /** Sysfs paths of assignable devices. */
        String[] devices;

        /** Whether rollback protection may be left to Secretkeeper. */
        boolean wantUpdatable = true;

        /** Whether the VM has a network card. */
        boolean networkSupported;

        /** Parameters appended to the kernel's command line. */
        String[] extraKernelCmdlineParams;

        /** The services of the trusted execution environment that the VM may use. */
        String[] teeServices;
    }

    /** A name for logs. */
    String name;

    /** From IVirtualizationService.allocateInstanceId; all zero for none. */
    byte[64] instanceId;

    ParcelFileDescriptor apk;

    /** The APK's signature file, from IVirtualizationService.createOrUpdateIdsigFile. */
    ParcelFileDescriptor idsig;

    /** One for each of the payload's extra APKs, in the same order. */
    List<ParcelFileDescriptor> extraIdsigs;

    /** A writable file of the type ANDROID_VM_INSTANCE. */
    ParcelFileDescriptor instanceImage;

    /** A writable file of the type ENCRYPTEDSTORE. */
    @nullable ParcelFileDescriptor encryptedStorageImage;

    Payload payload;

    /** The guest system, one of IVirtualizationService.getSupportedOSList. */
    @utf8InCpp String osName = "microdroid";

    DebugLevel debugLevel = DebugLevel.NONE;
    boolean protectedVm;

    /** In MiB; 0 or less for the system's default. */
    int memoryMib;

    CpuOptions cpuOptions;
    @nullable CustomConfig customConfig;
    boolean hugePages;
    boolean boostUclamp;

    /** Services of the host that the guest may use; Android 16's QPRs added it. */
    String[] hostServices;
}
