// SPDX-License-Identifier: Apache-2.0
package android.system.virtualmachineservice;

/**
 * What a guest does for its host. Only the method that kept its place through Android 16's QPRs is
 * declared.
 */
interface IGuestAgent {
    /** Shuts the guest down; does not wait for it. */
    oneway void shutdownAsync();
}
