// SPDX-License-Identifier: Apache-2.0
package android.hardware.security.authgraph;

import android.hardware.security.authgraph.Arc;
import android.hardware.security.authgraph.PubKey;

/** A key pair: its public half, and its private half encrypted with the party's own key. */
@VintfStability
parcelable Key {
    @nullable PubKey pubKey;
    @nullable Arc arcFromPBK;
}
