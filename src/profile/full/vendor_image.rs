// SPDX-License-Identifier: Apache-2.0
//! The vendor's image for Microdroid, which the guest verifies by its digest.

use crate::error::Error;
use std::fmt::Write;
use std::fs::File;
use vbmeta::VbMeta;

/// The field that has the image.
const FIELD: &str = "customConfig.vendorImage";

/// The digest of the image's hash tree, in hexadecimal.
///
/// # Errors
/// If the image has no sound verified-boot structure with a hash tree.
pub(super) fn vendor_digest(image: &File) -> Result<String, Error> {
    let found = VbMeta::read(image).map_err(|e| Error::failed(FIELD, e))?;
    let digest = found
        .hashtrees
        .first()
        .map(|tree| &tree.root_digest[..])
        .filter(|digest| !digest.is_empty())
        .ok_or_else(|| {
            Error::invalid(format!(
                "{FIELD}: its verified-boot structure has no hash tree; make it with avbtool \
                 add_hashtree_footer"
            ))
        })?;
    Ok(digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
