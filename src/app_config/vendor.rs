// SPDX-License-Identifier: Apache-2.0
//! The vendor's image for Microdroid: its digest goes to the guest, which verifies the image by it.

use super::{invalid, unusable};
use crate::vm::Error;
use std::fmt::Write;
use std::fs::File;
use vbmeta::VbMeta;

/// The property with the digest, in hexadecimal.
pub(super) const DIGEST: &str = "vendor_hashtree_descriptor_root_digest";

/// The digest of the image's hash tree, in hexadecimal.
pub(super) fn root_digest(image: &File) -> Result<String, Error> {
    let found = VbMeta::read(image).map_err(|e| unusable("customConfig.vendorImage", e))?;
    let digest = found
        .hashtrees
        .first()
        .map(|tree| &tree.root_digest[..])
        .filter(|digest| !digest.is_empty())
        .ok_or_else(|| {
            invalid(
                "customConfig.vendorImage: its verified-boot structure has no hash tree; make it \
                 with avbtool add_hashtree_footer"
                    .into(),
            )
        })?;
    Ok(digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
