// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

/** What the guest's SMBIOS tables say. */
parcelable SmbiosOptions {
    @nullable String biosVendor;
    @nullable String biosVersion;
    @nullable String manufacturer;
    @nullable String productName;
    @nullable String serialNumber;
    @nullable String uuid;
    String[] oemStrings;
}
