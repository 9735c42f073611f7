// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice_internal;

import android.system.virtualizationcommon.DeathReason;

/** Metrics: a VM ended. */
parcelable AtomVmExited {
    int uid;
    String vmIdentifier;
    DeathReason deathReason;
    int exitSignal;
    long elapsedTimeMillis;
    long guestTimeMillis;

    /** Resident memory of the guest, in KiB. */
    long rssVmKb;

    /** Resident memory of the VMM without the guest's, in KiB. */
    long rssCrosvmKb;
}
