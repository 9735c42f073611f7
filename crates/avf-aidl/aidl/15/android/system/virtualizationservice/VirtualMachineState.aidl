// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

/** What a VM and its payload are doing. The number 5 stays free. */
@Backing(type="int")
enum VirtualMachineState {
    /** Created only. */
    NOT_STARTED = 0,
    /** Running; nothing was heard of the payload yet. */
    STARTING = 1,
    /** The payload was started. */
    STARTED = 2,
    /** The payload serves its clients. */
    READY = 3,
    /** The payload ended; the VM still runs. */
    FINISHED = 4,
    /** The VM ended. */
    DEAD = 6,
}
