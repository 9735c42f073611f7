// SPDX-License-Identifier: Apache-2.0
package android.hardware.security.authgraph;

import android.hardware.security.authgraph.Arc;
import android.hardware.security.authgraph.SessionIdSignature;

/** What a party knows at the end of the key agreement. */
@VintfStability
parcelable SessionInfo {
    Arc[2] sharedKeys;
    byte[] sessionId;
    SessionIdSignature signature;
}
