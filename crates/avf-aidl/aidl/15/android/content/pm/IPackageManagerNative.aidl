// SPDX-License-Identifier: Apache-2.0
package android.content.pm;

import android.content.pm.StagedApexInfo;

/**
 * The package manager for native callers, service name "package_native". Only the methods that a
 * manager calls are declared.
 *
 * This is no stable interface: a method's transaction code follows from its place in the
 * platform's own definition, which differs between Android releases. The codes (one more than the
 * numbers below) are 14 and 15 where the platform's definition has getPackageUid, as in
 * Android 15. Before that method came they were 13 and 14, and 16 and 17 in Android 12, whose
 * definition had observers of package changes.
 */
interface IPackageManagerNative {
    /** The modules that have a staged APEX. */
    String[] getStagedApexModuleNames() = 13;

    /** The staged APEX of a module; null if there is none. */
    @nullable StagedApexInfo getStagedApexInfo(String moduleName) = 14;
}
