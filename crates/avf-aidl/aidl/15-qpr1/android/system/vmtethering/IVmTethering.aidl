// SPDX-License-Identifier: Apache-2.0
package android.system.vmtethering;

/** Switches the network of VMs on and off. */
interface IVmTethering {
    /** On. */
    void enableVmTethering();

    /** Off. */
    void disableVmTethering();
}
