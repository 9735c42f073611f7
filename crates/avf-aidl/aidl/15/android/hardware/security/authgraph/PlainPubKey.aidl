// SPDX-License-Identifier: Apache-2.0
package android.hardware.security.authgraph;

/** A public key as a COSE_Key. */
@VintfStability
parcelable PlainPubKey {
    byte[] plainPubKey;
}
