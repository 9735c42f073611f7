// SPDX-License-Identifier: Apache-2.0
package android.hardware.security.authgraph;

/** A public key as a COSE_Sign1 over a COSE_Key. */
@VintfStability
parcelable SignedPubKey {
    byte[] signedPubKey;
}
