// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationcommon;

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

    CgroupMemoryBreachReported cgroupMemoryBreachReported;
    FsckFailedReported fsckFailedReported;
    GetOrCreateSkSecretFailedReported getOrCreateSkSecretFailedReported;
    PsiMonitorFailedReported psiMonitorFailedReported;
}
