// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

import android.system.virtualizationservice.Partition;

/** One block device. Exactly one of image and partitions says what is on it. */
parcelable DiskImage {
    /** The whole disk in one file. */
    @nullable ParcelFileDescriptor image;

    /** Whether the guest may write to the disk; partitions have a say of their own below that. */
    boolean writable;

    /** The partitions that a GPT is made for, in order. Empty if image is set. */
    Partition[] partitions;
}
