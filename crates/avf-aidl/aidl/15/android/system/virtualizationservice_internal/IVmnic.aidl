// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice_internal;

/** Does the privileged part of VM networking. */
interface IVmnic {
    /** Makes a TAP network interface and brings it up. */
    ParcelFileDescriptor createTapInterface(String ifaceNameSuffix);

    /** Takes a TAP network interface down. */
    void deleteTapInterface(in ParcelFileDescriptor tapFd);
}
