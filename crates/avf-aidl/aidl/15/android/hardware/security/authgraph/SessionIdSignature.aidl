// SPDX-License-Identifier: Apache-2.0
package android.hardware.security.authgraph;

/** A COSE_Sign1 over the id of a session. */
@VintfStability
parcelable SessionIdSignature {
    byte[] signature;
}
