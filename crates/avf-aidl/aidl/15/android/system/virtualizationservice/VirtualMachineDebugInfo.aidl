// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

/** One line of the list of VMs. */
parcelable VirtualMachineDebugInfo {
    int cid;

    /** Where the manager keeps the VM's temporary files. */
    @utf8InCpp String temporaryDirectory;

    /** Who asked for the VM. */
    int requesterUid;

    int requesterPid;
}
