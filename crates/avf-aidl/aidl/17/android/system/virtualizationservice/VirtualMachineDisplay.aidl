// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

import android.system.virtualizationservice.DisplayConfig;

/** One display of a running VM. */
parcelable VirtualMachineDisplay {
    /** The number to remove it by. */
    int id;

    DisplayConfig config;
}
