// SPDX-License-Identifier: Apache-2.0
package com.android.virt.vm_demo;

/** What the demo's payload serves to the host. */
interface IDemoService {
    /** The sum of the two; an ILLEGAL_ARGUMENT where it does not fit. */
    int addInteger(int a, int b);

    /** Ends the payload with exit code 0, so that the VM powers off. */
    void quit();

    /** Makes or replaces a file in the guest, and writes it through to its disk. */
    void writeToFile(@utf8InCpp String path, in byte[] data);

    /** The content of a file in the guest, of at most 64 KiB. */
    byte[] readFile(@utf8InCpp String path);

    /**
     * Reads a block device from its start past the guest's cache, `length` bytes in blocks of
     * `block` bytes (a multiple of 4096), and returns how many nanoseconds it took.
     */
    long readDevice(@utf8InCpp String path, long length, int block);
}
