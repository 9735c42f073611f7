// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

/** The USB devices of a VM. */
parcelable UsbConfig {
    /** Whether the VM has a USB controller. */
    boolean controller;
}
