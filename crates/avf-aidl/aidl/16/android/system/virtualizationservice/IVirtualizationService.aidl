// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

import android.system.virtualizationservice.AssignableDevice;
import android.system.virtualizationservice.IVirtualMachine;
import android.system.virtualizationservice.PartitionType;
import android.system.virtualizationservice.VirtualMachineConfig;
import android.system.virtualizationservice.VirtualMachineDebugInfo;

/** The root object of a VM manager: creates VMs and the files that they need. */
interface IVirtualizationService {
    /** The names that isFeatureEnabled knows. */
    const String FEATURE_DICE_CHANGES = "com.android.kvm.DICE_CHANGES";
    const String FEATURE_LLPVM_CHANGES = "com.android.kvm.LLPVM_CHANGES";
    const String FEATURE_MULTI_TENANT = "com.android.kvm.MULTI_TENANT";
    const String FEATURE_NETWORK = "com.android.kvm.NETWORK";
    const String FEATURE_REMOTE_ATTESTATION = "com.android.kvm.REMOTE_ATTESTATION";
    const String FEATURE_VENDOR_MODULES = "com.android.kvm.VENDOR_MODULES";

    /**
     * Makes a VM and does not start it yet. Console and log are pipes or files of the client;
     * where one is null, the manager reads that stream and logs it line by line. The VM's device
     * tree is written to dumpDtFd.
     */
    IVirtualMachine createVm(
            in VirtualMachineConfig config,
            in @nullable ParcelFileDescriptor consoleOutFd,
            in @nullable ParcelFileDescriptor consoleInFd,
            in @nullable ParcelFileDescriptor osLogFd,
            in @nullable ParcelFileDescriptor dumpDtFd);

    /** A new random id under which a VM instance keeps its secrets. */
    byte[64] allocateInstanceId();

    /**
     * Gives an empty file its size, rounded up to a whole number of 4096 bytes, and the mark of
     * its type.
     */
    void initializeWritablePartition(
            in ParcelFileDescriptor imageFd,
            long sizeBytes,
            PartitionType type);

    /** Changes the size of an encrypted store, which can only grow. */
    void setEncryptedStorageSize(in ParcelFileDescriptor imageFd, long size);

    /**
     * Writes the APK signature scheme v4 file (idsig) of an APK, unless the file is up to date.
     */
    void createOrUpdateIdsigFile(in ParcelFileDescriptor inputFd, in ParcelFileDescriptor idsigFd);

    /** Every VM there is. */
    VirtualMachineDebugInfo[] debugListVms();

    /** The host devices that a VM may be given. */
    AssignableDevice[] getAssignableDevices();

    /** The names that VirtualMachineAppConfig.osName may have on this machine. */
    String[] getSupportedOSList();

    /** The host's debug policy for guests, in text for humans. */
    String getDebugPolicy();

    /** Whether a feature is on; false for a name that is not known. */
    boolean isFeatureEnabled(in String feature);

    /** Makes a test key for attestation of VMs in test mode. */
    void enableTestAttestation();

    /** Whether a VM can have itself attested on this machine. */
    boolean isRemoteAttestationSupported();

    /** Whether a VM's rollback protection can be left to Secretkeeper. */
    boolean isUpdatableVmSupported();

    /** Forgets an instance id and the secrets stored under it. */
    void removeVmInstance(in byte[64] instanceId);

    /** Records the caller as owner of an instance id that came with restored data. */
    void claimVmInstance(in byte[64] instanceId);
}
