// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationcommon;

/** What a guest reports through IVirtualMachineService.notifyError. */
@Backing(type="int")
enum ErrorCode {
    /** None of the others. */
    UNKNOWN = 0,
    /** The payload does not match its signature. */
    PAYLOAD_VERIFICATION_FAILED = 1,
    /** The payload is not the one that the instance knows. */
    PAYLOAD_CHANGED = 2,
    /** The payload configuration cannot be used. */
    PAYLOAD_INVALID_CONFIG = 3,
}
