// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

/** What initializeWritablePartition makes. */
@Backing(type="int")
enum PartitionType {
    /** Zeros. */
    RAW = 0,
    /** An instance image, empty but for its magic and version. */
    ANDROID_VM_INSTANCE = 1,
    /** Storage that the guest formats and encrypts at its first start. */
    ENCRYPTEDSTORE = 2,
}
