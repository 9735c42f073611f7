// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

import android.system.virtualizationservice.AssignedDevices;
import android.system.virtualizationservice.AudioConfig;
import android.system.virtualizationservice.CpuOptions;
import android.system.virtualizationservice.CustomMemoryBackingFile;
import android.system.virtualizationservice.DiskImage;
import android.system.virtualizationservice.DisplayConfig;
import android.system.virtualizationservice.GpuConfig;
import android.system.virtualizationservice.InputDevice;
import android.system.virtualizationservice.SharedPath;
import android.system.virtualizationservice.SmbiosOptions;
import android.system.virtualizationservice.UsbConfig;

/** A VM of which every part is named. Kernel or bootloader must be set. */
parcelable VirtualMachineRawConfig {
    /** A name for logs. */
    String name;

    /** From IVirtualizationService.allocateInstanceId; all zero for none. */
    byte[64] instanceId;

    /** A name of the guest system, for information. */
    String osName;

    @nullable ParcelFileDescriptor kernel;
    @nullable ParcelFileDescriptor initrd;

    /** The kernel's command line. */
    @nullable @utf8InCpp String params;

    /** Firmware that loads the kernel itself; not together with kernel. */
    @nullable ParcelFileDescriptor bootloader;

    /** Images of flash memory, which the firmware keeps its variables in. */
    ParcelFileDescriptor[] pflash;

    DiskImage[] disks;
    SharedPath[] sharedPaths;

    /** Whether the host must not be able to read the guest's memory. */
    boolean protectedVm;

    /** Firmware in place of the system's own firmware for protected VMs. */
    @nullable ParcelFileDescriptor customPvmfw;

    /** In MiB; 0 or less for the VMM's default. */
    int memoryMib;

    /** The size of a protected VM's bounce buffer in MiB; 0 for the manager's choice. */
    int swiotlbMib;

    CpuOptions cpuOptions;

    /** A SemVer requirement on the version of the virtual platform, such as "~1.0". */
    @utf8InCpp String platformVersion;

    /** The TCP port of the debugger stub; 0 for none. */
    int gdbPort = 0;

    boolean hugePages;

    AssignedDevices devices;

    @nullable DisplayConfig displayConfig;
    InputDevice[] inputDevices;
    boolean networkSupported;

    /** "hvc0" or "ttyS0": where console input arrives; hvc0 where it is null. */
    @nullable @utf8InCpp String consoleInputDevice;

    /** Whether the VMM's threads ask the scheduler for more speed. */
    boolean boostUclamp;

    @nullable GpuConfig gpuConfig;
    @nullable AudioConfig audioConfig;

    /** Whether the VM has a memory balloon. */
    boolean balloon;

    /** Whether the interrupt controller of a protected VM may have an ITS (arm64). */
    boolean allowVgicItsInPvm;

    @nullable UsbConfig usbConfig;

    /** The services of the trusted execution environment that the VM may use. */
    String[] teeServices;

    /** Whether the hypervisor's own way to authenticate guests is used. */
    boolean enableHypervisorSpecificAuthMethod;

    CustomMemoryBackingFile[] customMemoryBackingFiles;

    /** Services of the host that the guest may use. */
    String[] hostServices;

    @nullable SmbiosOptions smbiosOptions;

    /** Whether a dump of the memory is kept when a debuggable guest crashes. */
    boolean ramdump = true;
}
