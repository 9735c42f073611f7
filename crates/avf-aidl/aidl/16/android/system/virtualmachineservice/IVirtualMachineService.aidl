// SPDX-License-Identifier: Apache-2.0
package android.system.virtualmachineservice;

import android.hardware.security.secretkeeper.ISecretkeeper;
import android.os.IRpcProvider;
import android.system.virtualizationcommon.Atom;
import android.system.virtualizationcommon.Certificate;
import android.system.virtualizationcommon.ErrorCode;
import android.system.virtualizationcommon.IEncryptedStoreKEK;
import android.system.virtualmachineservice.IGuestAgent;

/** What a guest can ask of its manager, on the vsock port with the number of the guest's CID. */
interface IVirtualMachineService {
    /** The vsock port on which the host takes crash reports of guests. */
    const int VM_TOMBSTONES_SERVICE_PORT = 2000;

    /** The payload was started. */
    void notifyPayloadStarted();

    /** The payload serves its clients. */
    void notifyPayloadReady();

    /** The payload ended with this exit code. */
    void notifyPayloadFinished(int exitCode);

    /** Something failed; message is for humans. */
    void notifyError(ErrorCode errorCode, in String message);

    /** Has a signing request (CSR) of the guest certified; the leaf certificate comes first. */
    Certificate[] requestAttestation(in byte[] csr, in boolean testMode);

    /** The host's Secretkeeper; fails with NAME_NOT_FOUND where there is none. */
    ISecretkeeper getSecretkeeper();

    /** Records the VM's owner as owner of an entry in Secretkeeper. */
    void claimSecretkeeperEntry(in byte[64] id);

    /** The way to services of the host. This and what follows is of Android 16's QPRs. */
    IRpcProvider getHostRpcProvider();

    /** Makes the guest's agent known. */
    void registerGuestAgent(in IGuestAgent guestAgent);

    /** Keeps the key for the encrypted store; null if the client gave none. */
    @nullable IEncryptedStoreKEK getEncryptedStoreKEK();

    /** Passes an event on to the host's statistics. */
    void forwardAtom(in Atom atom);
}
