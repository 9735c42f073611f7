// SPDX-License-Identifier: Apache-2.0
package android.content.pm;

import android.content.pm.StagedApexInfo;

/**
 * The package manager for native callers, service name "package_native". Only the method that a
 * manager calls is declared, with its place in the platform's definition from Android 15 QPR2 to 16 QPR1;
 * its transaction code is one more.
 */
interface IPackageManagerNative {
    /** What is staged. */
    StagedApexInfo[] getStagedApexInfos() = 13;
}
