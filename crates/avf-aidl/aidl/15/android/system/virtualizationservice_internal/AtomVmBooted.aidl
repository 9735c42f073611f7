// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice_internal;

/** Metrics: a payload was started. */
parcelable AtomVmBooted {
    int uid;
    @utf8InCpp String vmIdentifier;
    long elapsedTimeMillis;
}
