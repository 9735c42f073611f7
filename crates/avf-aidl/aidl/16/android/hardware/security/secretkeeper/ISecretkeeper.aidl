// SPDX-License-Identifier: Apache-2.0
package android.hardware.security.secretkeeper;

import android.hardware.security.authgraph.IAuthGraphKeyExchange;
import android.hardware.security.secretkeeper.PublicKey;
import android.hardware.security.secretkeeper.SecretId;

/**
 * Stores secrets of VMs together with a policy that says which VM, at which version, may read
 * them. A manager hands every call through to the device's own implementation.
 */
@VintfStability
interface ISecretkeeper {
    /** The other end of the key agreement that must come before requests. */
    IAuthGraphKeyExchange getAuthGraphKe();

    /** One request, encrypted with the agreed keys, and its answer, encrypted likewise. */
    byte[] processSecretManagementRequest(in byte[] request);

    /** Deletes the secrets stored under these names. */
    void deleteIds(in SecretId[] ids);

    /** Deletes every secret. */
    void deleteAll();

    /** The key by which guests know this Secretkeeper. */
    PublicKey getSecretkeeperIdentity();
}
