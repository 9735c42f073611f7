// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

/** A payload without a JSON description. */
parcelable VirtualMachinePayloadConfig {
    /** The file name of a library in the APK. */
    @utf8InCpp String payloadBinaryName;

    List<ParcelFileDescriptor> extraApks;
}
