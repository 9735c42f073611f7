// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationmaintenance;

import android.system.virtualizationmaintenance.IVirtualizationReconciliationCallback;

/** Tells the global service which apps and users are gone, so that their VM secrets can go too. */
interface IVirtualizationMaintenance {
    /** One app of one user was uninstalled. */
    void appRemoved(int userId, int appId);

    /** A user was removed with all apps. */
    void userRemoved(int userId);

    /**
     * Asks the callback which of the known users and apps still exist and drops what is owned by
     * the others.
     */
    void performReconciliation(IVirtualizationReconciliationCallback callback);
}
