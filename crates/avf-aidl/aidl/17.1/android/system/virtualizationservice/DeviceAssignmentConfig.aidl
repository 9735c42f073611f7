// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

import android.system.virtualizationservice.AssignableDeviceSelector;

/** The host devices that a VM gets. */
parcelable DeviceAssignmentConfig {
    AssignableDeviceSelector[] devices;
}
