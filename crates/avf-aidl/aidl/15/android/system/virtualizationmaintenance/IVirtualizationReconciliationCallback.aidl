// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationmaintenance;

/** Answers which users and apps still exist. */
interface IVirtualizationReconciliationCallback {
    /** Service-specific error: give up the reconciliation now and do not try again. */
    const int ERROR_STOP_REQUESTED = 1;

    /** One answer for each user id, in the same order. */
    boolean[] doUsersExist(in int[] userIds);

    /** One answer for each app id of the user, in the same order. */
    boolean[] doAppsExist(int userId, in int[] appIds);
}
