// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice_internal;

/** Metrics: createVm was called. */
parcelable AtomVmCreationRequested {
    int uid;
    @utf8InCpp String vmIdentifier;
    boolean isProtected;
    boolean creationSucceeded;
    int binderExceptionCode;

    /** The variant of VirtualMachineConfig, counted from 1; 0 where it is unknown. */
    int configType;

    int numCpus;
    int memoryMib;
    @utf8InCpp String apexes;
}
