// SPDX-License-Identifier: Apache-2.0
package android.system.virtualmachineservice;

import android.hardware.security.secretkeeper.ISecretkeeper;
import android.system.virtualizationcommon.Certificate;
import android.system.virtualizationcommon.ErrorCode;

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
}
