// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

/** The sound device of a VM. */
parcelable AudioConfig {
    boolean useMicrophone;
    boolean useSpeaker;
}
