// SPDX-License-Identifier: Apache-2.0
package android.hardware.security.authgraph;

import android.hardware.security.authgraph.PlainPubKey;
import android.hardware.security.authgraph.SignedPubKey;

/** A public key, signed or not. */
@VintfStability
union PubKey {
    PlainPubKey plainKey;
    SignedPubKey signedKey;
}
