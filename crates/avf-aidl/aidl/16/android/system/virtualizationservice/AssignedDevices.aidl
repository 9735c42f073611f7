// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

/** The host devices that a VM gets. */
union AssignedDevices {
    /** Sysfs paths of assignable devices. */
    String[] devices = {};

    /** A device-tree overlay that is handed to the VMM. */
    ParcelFileDescriptor dtbo;
}
