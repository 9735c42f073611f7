// SPDX-License-Identifier: Apache-2.0
package android.hardware.security.authgraph;

/** Who a party is: its certificate chain, in CBOR. */
@VintfStability
parcelable Identity {
    byte[] identity;
}
