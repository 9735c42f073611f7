// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice_internal;

import android.system.virtualizationservice_internal.IBoundDevice;

/** Does the privileged part of device assignment. */
interface IVfioHandler {
    /** A device to bind. */
    parcelable VfioDev {
        String sysfsPath;
        String dtboLabel;
    }

    /** Binds all of the devices, or none if one fails. */
    IBoundDevice[] bindDevicesToVfioDriver(in VfioDev[] devices);

    /** Writes the platform's device-tree overlay for assigned devices into the file. */
    void writeVmDtbo(in ParcelFileDescriptor dtbo);
}
