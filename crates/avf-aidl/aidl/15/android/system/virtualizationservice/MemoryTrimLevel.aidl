// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

/** How short of memory the host is. Only Android 15 has it. */
@Backing(type="int")
enum MemoryTrimLevel {
    TRIM_MEMORY_RUNNING_CRITICAL = 0,
    TRIM_MEMORY_RUNNING_LOW = 1,
    TRIM_MEMORY_RUNNING_MODERATE = 2,
}
