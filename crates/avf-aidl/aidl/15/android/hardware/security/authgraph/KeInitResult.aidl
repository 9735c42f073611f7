// SPDX-License-Identifier: Apache-2.0
package android.hardware.security.authgraph;

import android.hardware.security.authgraph.SessionInfo;
import android.hardware.security.authgraph.SessionInitiationInfo;

/** What the sink sends back, and what it knows of the session itself. */
@VintfStability
parcelable KeInitResult {
    SessionInitiationInfo sessionInitiationInfo;
    SessionInfo sessionInfo;
}
