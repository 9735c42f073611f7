// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

import android.system.virtualizationcommon.DeathReason;
import android.system.virtualizationcommon.ErrorCode;
import android.system.virtualizationcommon.IGuestAgent;

/** What a client hears about its VM. The calls come in the order of the events. */
oneway interface IVirtualMachineCallback {
    /** The payload was started. */
    void onPayloadStarted(int cid);

    /** The payload serves its clients. */
    void onPayloadReady(int cid);

    /** The payload ended with this exit code; the VM may still run. */
    void onPayloadFinished(int cid, int exitCode);

    /** The guest met an error, described for humans in message. */
    void onError(int cid, ErrorCode errorCode, in String message);

    /** The VM has ended. This is the last call for the VM. */
    void onDied(int cid, in DeathReason reason);

    /** The guest's agent can be reached. */
    void onGuestAgentRegistered(int cid, in IGuestAgent guestAgent);
}
