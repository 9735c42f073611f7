// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

/** One partition of a disk that the manager puts together. */
parcelable Partition {
    /** The name in the GPT, at most 36 UTF-16 units, unique on its disk. */
    @utf8InCpp String label;

    /** What the partition holds. */
    ParcelFileDescriptor image;

    /** Whether the guest may write to it. */
    boolean writable;

    /** The partition's GUID in the GPT, as a UUID in text; random where it is null. */
    @nullable String guid;
}
