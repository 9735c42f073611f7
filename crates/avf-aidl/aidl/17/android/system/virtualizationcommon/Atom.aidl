// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationcommon;

import android.system.virtualizationcommon.DeathReason;

/** One event for the host's statistics. */
union Atom {
    /** A control group of the guest used too much memory. */
    parcelable CgroupMemoryBreachReported {
        long highBreachCount;
        long highMemoryPeakMb;
    }

    /** A file system check in the guest failed. */
    parcelable FsckFailedReported {
        int exitCode;
    }

    /** The guest could not get its secret from Secretkeeper. */
    parcelable GetOrCreateSkSecretFailedReported {
        int retryCount;
    }

    /** The guest could not watch its memory pressure. */
    parcelable PsiMonitorFailedReported {
        long exponentialBackoffSeconds;
    }

    /** The guest found an encrypted store of another instance. */
    parcelable StaleEncryptedstoreDetected {}

    /** A payload was started. */
    parcelable VmBooted {
        long elapsedTimeMillis;
    }

    /** A client asked for a VM. */
    parcelable VmCreationRequested {
        boolean isProtected;
        boolean creationSucceeded;
        int binderExceptionCode;
        int configType;
        int numCpus;
        int memoryMib;
        String apexes;
    }

    /** A VM ended. */
    parcelable VmExited {
        DeathReason deathReason;
        int exitSignal;
        long elapsedTimeMillis;
        long guestTimeMillis;
        long rssKb;
    }

    CgroupMemoryBreachReported cgroupMemoryBreachReported;
    FsckFailedReported fsckFailedReported;
    GetOrCreateSkSecretFailedReported getOrCreateSkSecretFailedReported;
    PsiMonitorFailedReported psiMonitorFailedReported;
    StaleEncryptedstoreDetected staleEncryptedstoreDetected;
    VmBooted vmBooted;
    VmCreationRequested vmCreationRequested;
    VmExited vmExited;
}
