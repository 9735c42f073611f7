// SPDX-License-Identifier: Apache-2.0
package android.hardware.security.secretkeeper;

/** The name under which Secretkeeper stores a secret. */
@VintfStability
parcelable SecretId {
    byte[64] id;
}
