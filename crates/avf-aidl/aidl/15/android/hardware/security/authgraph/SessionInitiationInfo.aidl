// SPDX-License-Identifier: Apache-2.0
package android.hardware.security.authgraph;

import android.hardware.security.authgraph.Identity;
import android.hardware.security.authgraph.Key;

/** What a party sends to open a key agreement. */
@VintfStability
parcelable SessionInitiationInfo {
    Key key;
    Identity identity;
    byte[] nonce;
    int version;
}
