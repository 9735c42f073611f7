// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice_internal;

/** Holds a CID and a temporary directory for as long as it is referenced. */
interface IGlobalVmContext {
    /** The reserved vsock address. */
    int getCid();

    /** A directory owned by the requester. */
    String getTemporaryDirectory();
}
