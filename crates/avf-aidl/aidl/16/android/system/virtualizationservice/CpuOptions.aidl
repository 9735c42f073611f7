// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

/** The virtual CPUs of a VM. */
@RustDerive(Clone=true, PartialEq=true)
parcelable CpuOptions {
    /** How many there are. */
    @RustDerive(Clone=true, PartialEq=true)
    union CpuTopology {
        /** So many. */
        int cpuCount = 1;

        /** As many as the host has, with its clusters where the VMM can show them. */
        boolean matchHost;
    }

    CpuTopology cpuTopology;
}
