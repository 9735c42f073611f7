// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationcommon;

import android.system.virtualizationcommon.ICEStoreKEK;

/** What a Microdroid guest does for its host besides IGuestAgent. */
interface IMicrodroidGuestAgent {
    /** Serves a dump of the guest's state on a vsock port, once, and returns the port. */
    int startDumpVsockServer(in String[] args) = 1;

    /** Gives memory back that the guest can do without. */
    oneway void trimAsync() = 2;

    /** A user of the host has unlocked their storage. */
    void userUnlocked(int user_id, ICEStoreKEK per_user_kek) = 3;

    /** Starts or stops the guest's debugging daemon (adbd). */
    void startOrStopAdbd(boolean start) = 4;

    /** A user of the host was removed. */
    void userRemoved(int userId) = 5;

    /** A user of the host has locked their storage. */
    void userLocked(int userId) = 6;

    /** Removes every user but these. */
    void pruneUsers(in int[] users) = 7;
}
