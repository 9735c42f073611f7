// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationcommon;

/** What every guest does for its host. A transaction code is one more than the method's number. */
interface IGuestAgent {
    /** Shuts the guest down; does not wait for it. */
    oneway void shutdownAsync() = 1;

    /** What a guest of one kind does besides, such as IMicrodroidGuestAgent. */
    IBinder getAgentExtension(String name) = 2;
}
