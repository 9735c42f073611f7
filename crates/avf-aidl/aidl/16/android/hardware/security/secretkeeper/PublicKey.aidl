// SPDX-License-Identifier: Apache-2.0
package android.hardware.security.secretkeeper;

/** A public key in COSE form. */
@VintfStability
parcelable PublicKey {
    byte[] keyMaterial;
}
