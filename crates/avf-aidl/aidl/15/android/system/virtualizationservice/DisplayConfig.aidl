// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

/** The display of a VM. */
parcelable DisplayConfig {
    /** In pixels. */
    int width;

    /** In pixels. */
    int height;

    int horizontalDpi;
    int verticalDpi;

    /** In frames a second. */
    int refreshRate;
}
