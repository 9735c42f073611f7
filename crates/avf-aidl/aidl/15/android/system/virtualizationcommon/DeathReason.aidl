// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationcommon;

/** Why a VM is no longer running. Numbers are never reused: 9 and 10 stay free. */
@Backing(type="int")
enum DeathReason {
    /** The manager could not wait for the VMM process. */
    INFRASTRUCTURE_ERROR = 0,
    /** The VMM was ended by a signal, stop() included. */
    KILLED = 1,
    /** The VMM ended with a status that says nothing more. */
    UNKNOWN = 2,
    /** The guest powered itself off. */
    SHUTDOWN = 3,
    /** The VMM gave up before the guest ran. */
    START_FAILED = 4,
    /** The guest asked for a reboot, which is not carried out. */
    REBOOT = 5,
    /** The guest kernel panicked, or the virtual CPU hit an error. */
    CRASH = 6,
    /** The protected-VM firmware refused the payload: wrong public key. */
    PVM_FIRMWARE_PUBLIC_KEY_MISMATCH = 7,
    /** The protected-VM firmware refused the payload: the instance image is another VM's. */
    PVM_FIRMWARE_INSTANCE_IMAGE_CHANGED = 8,
    /** The guest could not reach IVirtualMachineService. */
    MICRODROID_FAILED_TO_CONNECT_TO_VIRTUALIZATION_SERVICE = 11,
    /** The payload is not the one the instance was first started with. */
    MICRODROID_PAYLOAD_HAS_CHANGED = 12,
    /** The payload does not match its signature. */
    MICRODROID_PAYLOAD_VERIFICATION_FAILED = 13,
    /** The payload configuration cannot be used. */
    MICRODROID_INVALID_PAYLOAD_CONFIG = 14,
    /** The guest failed in a way it could not name. */
    MICRODROID_UNKNOWN_RUNTIME_ERROR = 15,
    /** The payload did not report itself started in time. */
    HANGUP = 16,
    /** The guest's watchdog expired. */
    WATCHDOG_REBOOT = 17,
}
