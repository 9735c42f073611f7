// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

/** A directory of the host that the guest can mount. */
parcelable SharedPath {
    /** The directory. */
    String sharedPath;

    /** Files of guestUid and guestGid in the guest are of hostUid and hostGid on the host. */
    int hostUid;

    int hostGid;
    int guestUid;
    int guestGid;

    /** The umask for new files. */
    int mask;

    /** The name under which the guest mounts it. */
    String tag;

    /** The name of the device's socket in the VM's directory. */
    String socketPath;
}
