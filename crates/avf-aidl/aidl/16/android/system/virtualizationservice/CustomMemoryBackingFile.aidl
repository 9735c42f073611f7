// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

/** A file that the guest sees as a range of its memory. */
parcelable CustomMemoryBackingFile {
    ParcelFileDescriptor file;

    /** The range's address in the guest. */
    long rangeStart;

    /** In bytes. */
    long size;
}
