// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationcommon;

/** Keeps the key that the key of a guest's encrypted store is encrypted with. */
interface IEncryptedStoreKEK {
    /** The key; null if none was made yet. */
    @nullable byte[] getKEK();

    /** The guest made the key. */
    void onKEKCreated(in byte[] kek);
}
