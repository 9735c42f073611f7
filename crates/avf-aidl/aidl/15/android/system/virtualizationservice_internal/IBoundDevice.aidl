// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice_internal;

/** A device bound to the VFIO driver; dropping the last reference gives it back. */
interface IBoundDevice {
    /** The device's directory in sysfs. */
    String getSysfsPath();

    /** The label of its node in the device-tree overlay. */
    String getDtboLabel();
}
