// SPDX-License-Identifier: Apache-2.0
package android.hardware.security.authgraph;

import android.hardware.security.authgraph.Arc;
import android.hardware.security.authgraph.Identity;
import android.hardware.security.authgraph.KeInitResult;
import android.hardware.security.authgraph.Key;
import android.hardware.security.authgraph.PubKey;
import android.hardware.security.authgraph.SessionIdSignature;
import android.hardware.security.authgraph.SessionInfo;
import android.hardware.security.authgraph.SessionInitiationInfo;

/** A key agreement between two parties that then share one key for each direction. */
@VintfStability
interface IAuthGraphKeyExchange {
    /** The caller is the source: makes a key, an identity and a nonce to send to the sink. */
    SessionInitiationInfo create();

    /** The caller is the sink: answers what the source sent and derives the shared keys. */
    KeInitResult init(
            in PubKey peerPubKey, in Identity peerId, in byte[] peerNonce, in int peerVersion);

    /** The caller is the source: checks what the sink sent and derives the shared keys. */
    SessionInfo finish(
            in PubKey peerPubKey,
            in Identity peerId,
            in SessionIdSignature peerSignature,
            in byte[] peerNonce,
            in int peerVersion,
            in Key ownKey);

    /** The caller is the sink: checks the source's signature; the keys may be used from here on. */
    Arc[2] authenticationComplete(in SessionIdSignature peerSignature, in Arc[2] sharedKeys);
}
