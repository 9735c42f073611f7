// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationcommon;

import android.system.virtualizationcommon.ICEStoreKEK;

/** What a guest does for its host. A transaction code is one more than the method's number. */
interface IGuestAgent {
    /** Shuts the guest down; does not wait for it. */
    oneway void shutdownAsync() = 1;

    /** Serves a dump of the guest's state on a vsock port, once, and returns the port. */
    int startDumpVsockServer(in String[] args) = 2;

    /** Gives memory back that the guest can do without. */
    oneway void trimAsync() = 4;

    /** A user of the host has unlocked their storage. */
    void userUnlocked(int user_id, ICEStoreKEK per_user_kek) = 5;
}
