// SPDX-License-Identifier: Apache-2.0
package android.hardware.security.authgraph;

/** A key encrypted with another key, in CBOR. */
@VintfStability
parcelable Arc {
    byte[] arc;
}
