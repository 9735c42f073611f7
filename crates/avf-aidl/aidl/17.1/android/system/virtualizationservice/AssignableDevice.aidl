// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

/** A host device that may be given to a VM. */
@RustDerive(Clone=true)
parcelable AssignableDevice {
    /** The device's directory in sysfs. */
    String sysfsPath;

    /** The label of its node in the device-tree overlay. */
    String dtboLabel;
}
