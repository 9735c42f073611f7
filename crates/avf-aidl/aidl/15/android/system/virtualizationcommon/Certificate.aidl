// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationcommon;

/** One X.509 certificate of an attestation chain. */
parcelable Certificate {
    /** The certificate in DER form. */
    byte[] encodedCertificate;
}
