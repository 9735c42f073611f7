// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

import android.system.virtualizationservice.AudioConfig;
import android.system.virtualizationservice.CpuTopology;
import android.system.virtualizationservice.DiskImage;
import android.system.virtualizationservice.DisplayConfig;
import android.system.virtualizationservice.GpuConfig;
import android.system.virtualizationservice.InputDevice;
import android.system.virtualizationservice.UsbConfig;

/** A VM of which every part is named. Kernel or bootloader must be set. */
parcelable VirtualMachineRawConfig {
    /** A name for logs. */
    String name;

    /** From IVirtualizationService.allocateInstanceId; all zero for none. */
    byte[64] instanceId;

    @nullable ParcelFileDescriptor kernel;
    @nullable ParcelFileDescriptor initrd;

    /** The kernel's command line. */
    @nullable @utf8InCpp String params;

    /** Firmware that loads the kernel itself; not together with kernel. */
    @nullable ParcelFileDescriptor bootloader;

    DiskImage[] disks;

    /** Whether the host must not be able to read the guest's memory. */
    boolean protectedVm;

    /** In MiB; 0 or less for the VMM's default. */
    int memoryMib;

    CpuTopology cpuTopology = CpuTopology.ONE_CPU;

    /** A SemVer requirement on the version of the virtual platform, such as "~1.0". */
    @utf8InCpp String platformVersion;

    /** The TCP port of the debugger stub; 0 for none. */
    int gdbPort = 0;

    boolean hugePages;

    /** Sysfs paths of assignable devices. */
    String[] devices;

    @nullable DisplayConfig displayConfig;
    InputDevice[] inputDevices;
    boolean networkSupported;

    /** "hvc0" or "ttyS0": where console input arrives; hvc0 where it is null. */
    @nullable @utf8InCpp String consoleInputDevice;

    /** Whether the VMM's threads ask the scheduler for more speed. */
    boolean boostUclamp;

    @nullable GpuConfig gpuConfig;
    @nullable AudioConfig audioConfig;

    /** Whether the VM has no memory balloon. */
    boolean noBalloon;

    @nullable UsbConfig usbConfig;
}
