// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

/** One line of the list of VMs. */
parcelable VirtualMachineDebugInfo {
    /** The name in the VM's config. */
    String name;

    int cid;

    /** Where the manager keeps the VM's temporary files. */
    @utf8InCpp String temporaryDirectory;

    /** Who asked for the VM. */
    int requesterUid;

    int requesterPid;

    /** The terminal that shows the console, if setHostConsoleName was called. */
    @nullable @utf8InCpp String hostConsoleName;
}
