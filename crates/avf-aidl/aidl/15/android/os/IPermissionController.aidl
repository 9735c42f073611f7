// SPDX-License-Identifier: Apache-2.0
package android.os;

/**
 * The platform's answer to permission questions, service name "permission". Only the first method
 * is declared, which is the only one that a manager calls.
 */
interface IPermissionController {
    /** Whether the process of this pid and uid holds the permission. */
    boolean checkPermission(String permission, int pid, int uid);
}
