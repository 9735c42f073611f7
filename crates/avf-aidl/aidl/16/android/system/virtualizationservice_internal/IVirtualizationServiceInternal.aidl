// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice_internal;

import android.system.virtualizationcommon.Certificate;
import android.system.virtualizationservice.AssignableDevice;
import android.system.virtualizationservice.VirtualMachineDebugInfo;
import android.system.virtualizationservice_internal.AtomVmBooted;
import android.system.virtualizationservice_internal.AtomVmCreationRequested;
import android.system.virtualizationservice_internal.AtomVmExited;
import android.system.virtualizationservice_internal.IBoundDevice;
import android.system.virtualizationservice_internal.IGlobalVmContext;

/** What the managers, one per client, need of the one global service. */
interface IVirtualizationServiceInternal {
    /** The service-specific error of everything that has no number of its own. */
    const int ERROR_UNEXPECTED = -1;

    /** Lifts the caller's limit on locked memory. */
    void removeMemlockRlimit();

    /** Reserves a CID and makes a temporary directory. */
    IGlobalVmContext allocateGlobalVmContext(String name, int requesterDebugPid);

    /** Passes a metric on. */
    void atomVmBooted(in AtomVmBooted atom);

    /** Passes a metric on. */
    void atomVmCreationRequested(in AtomVmCreationRequested atom);

    /** Passes a metric on. */
    void atomVmExited(in AtomVmExited atom);

    /** The VMs of all managers. */
    VirtualMachineDebugInfo[] debugListVms();

    /** Has a guest's signing request certified; the leaf certificate comes first. */
    Certificate[] requestAttestation(in byte[] csr, int requesterUid, in boolean testMode);

    /** See IVirtualizationService. */
    void enableTestAttestation();

    /** See IVirtualizationService. */
    boolean isRemoteAttestationSupported();

    /** See IVirtualizationService. */
    AssignableDevice[] getAssignableDevices();

    /** Binds devices, named by their sysfs paths, for one VM. */
    IBoundDevice[] bindDevicesToVfioDriver(in String[] devices);

    /** The device-tree overlay of all assignable devices. */
    ParcelFileDescriptor getDtboFile();

    /** See IVirtualizationService. */
    byte[64] allocateInstanceId();

    /** See IVirtualizationService. */
    void removeVmInstance(in byte[64] instanceId);

    /** See IVirtualizationService. */
    void claimVmInstance(in byte[64] instanceId);

    /** Sets the binder that shows VM displays. */
    void setDisplayService(IBinder ibinder);

    /** Removes it. */
    void clearDisplayService();

    /** Waits until there is one and returns it. */
    IBinder waitDisplayService();

    /** Makes a TAP network interface and brings it up. */
    ParcelFileDescriptor createTapInterface(String ifaceNameSuffix);

    /** Takes a TAP network interface down. */
    void deleteTapInterface(in ParcelFileDescriptor tapFd);

    /** Records the caller as owner of an entry in Secretkeeper. */
    void claimSecretkeeperEntry(in byte[64] id);
}
