// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

/** The virtual GPU of a VM; every name is handed to the VMM as it is. */
parcelable GpuConfig {
    @nullable String backend;
    @nullable String[] contextTypes;
    @nullable String pciAddress;
    @nullable String rendererFeatures;
    boolean rendererUseEgl = false;
    boolean rendererUseGles = false;
    boolean rendererUseGlx = false;
    boolean rendererUseSurfaceless = false;
    boolean rendererUseVulkan = false;

    /** A connection to the compositor that shows the guest's windows. */
    @nullable ParcelFileDescriptor waylandSocketFd;
}
