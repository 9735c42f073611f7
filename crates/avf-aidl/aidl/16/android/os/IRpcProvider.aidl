// SPDX-License-Identifier: Apache-2.0
package android.os;

/** Tells a guest where it can reach a service of its host. */
interface IRpcProvider {
    /** Where RPC binder is spoken. */
    union ServiceConnectionInfo {
        /** A vsock address. */
        parcelable Vsock {
            int cid;
            int port;
        }

        Vsock vsock;
    }

    /** The address of the service of this name. */
    ServiceConnectionInfo getServiceConnectionInfo(in String name);
}
