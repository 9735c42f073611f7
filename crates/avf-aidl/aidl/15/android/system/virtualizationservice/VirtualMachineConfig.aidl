// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

import android.system.virtualizationservice.VirtualMachineAppConfig;
import android.system.virtualizationservice.VirtualMachineRawConfig;

/** Either way to describe a VM. */
union VirtualMachineConfig {
    VirtualMachineAppConfig appConfig;
    VirtualMachineRawConfig rawConfig;
}
