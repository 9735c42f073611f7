// SPDX-License-Identifier: Apache-2.0
package android.content.pm;

/** An APEX that was installed and becomes active at the next boot. */
parcelable StagedApexInfo {
    String moduleName;
    String diskImagePath;
    long versionCode;
    String versionName;
    boolean hasClassPathJars;
}
