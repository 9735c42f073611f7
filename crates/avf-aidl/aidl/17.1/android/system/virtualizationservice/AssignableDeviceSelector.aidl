// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

/** Names one assignable device. */
@RustDerive(Clone=true, PartialEq=true)
union AssignableDeviceSelector {
    /** By the label of its node in the device-tree overlay. */
    String byLabel;

    /** By its directory in sysfs. */
    String byPath;
}
