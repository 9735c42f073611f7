// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

/** How many virtual CPUs a VM gets. */
@Backing(type="byte")
enum CpuTopology {
    /** One. */
    ONE_CPU = 0,
    /** As many as the host has, with the host's clusters where the VMM can show them. */
    MATCH_HOST = 1,
}
