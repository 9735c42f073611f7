// SPDX-License-Identifier: Apache-2.0
//! Files that managers fill for clients: instance, data and raw partitions, and idsigs.

use crate::fd::regular;
use crate::status::{exception, failure};
use avf_aidl::service::PartitionType;
use host::chain;
use rsbinder::{BinderResult, ExceptionCode, ParcelFileDescriptor, Status};
use rustix::fs::OFlags;
use std::io;
use std::os::unix::fs::FileExt;

/// The size of an image is a multiple of this.
const ALIGNMENT: u64 = 4096;
/// The head of an instance image: this, then the version.
const INSTANCE_MAGIC: &[u8] = b"Android-VM-instance";
/// Version 1 of the instance image's format.
const INSTANCE_VERSION: u16 = 1;
/// The head of a storage image that the guest has not formatted yet.
const UNFORMATTED: &[u8] = b"UNFORMATTED-STORAGE";

/// Makes the file of `image` an empty partition of `size` bytes, rounded up to 4096.
///
/// # Errors
/// ILLEGAL_ARGUMENT for a negative or huge size, an unknown type, or a descriptor that is not a
/// regular file open for writing; the default error if writing fails.
pub(super) fn initialize(
    image: &ParcelFileDescriptor,
    size: i64,
    kind: PartitionType,
) -> BinderResult<()> {
    let size = rounded("sizeBytes", size)?;
    let head = match kind {
        PartitionType::RAW => Vec::new(),
        PartitionType::ANDROID_VM_INSTANCE => {
            [INSTANCE_MAGIC, &INSTANCE_VERSION.to_le_bytes()].concat()
        }
        PartitionType::ENCRYPTEDSTORE => UNFORMATTED.to_vec(),
        PartitionType(other) => {
            return Err(invalid(&format!(
                "type {other}: it must be RAW (0), ANDROID_VM_INSTANCE (1) or ENCRYPTEDSTORE (2)"
            )));
        }
    };
    if u64::try_from(head.len()).is_ok_and(|len| len > size) {
        return Err(invalid(&format!(
            "sizeBytes {size}: this type needs at least {ALIGNMENT}"
        )));
    }
    let file = regular("imageFd", image, OFlags::WRONLY).map_err(|e| Status::from(&e))?;
    file.set_len(0)
        .map_err(|e| failed("cannot truncate imageFd", &e))?;
    let filled = file
        .set_len(size)
        .map_err(|e| failed("cannot set the size of imageFd", &e))
        .and_then(|()| {
            file.write_all_at(&head, 0)
                .map_err(|e| failed("cannot write to imageFd", &e))
        });
    if filled.is_err() {
        // Half an image must not look like one, nor take space.
        let _ = file.set_len(0);
    }
    filled
}

/// Enlarges the file of `image` to `size` bytes, rounded up to 4096; what is in it stays.
///
/// # Errors
/// ILLEGAL_ARGUMENT for a negative or huge size, one that is smaller than the file, or a descriptor
/// that is not a regular file open for writing; the default error if it cannot be enlarged.
pub(super) fn resize(image: &ParcelFileDescriptor, size: i64) -> BinderResult<()> {
    let size = rounded("size", size)?;
    let file = regular("imageFd", image, OFlags::WRONLY).map_err(|e| Status::from(&e))?;
    let present = file
        .metadata()
        .map_err(|e| failed("cannot stat imageFd", &e))?
        .len();
    if size < present {
        return Err(invalid(&format!(
            "size {size}: imageFd has {present} bytes, and an encrypted storage cannot be made smaller"
        )));
    }
    file.set_len(size)
        .map_err(|e| failed("cannot set the size of imageFd", &e))
}

/// A size of a file in bytes, rounded up to the alignment.
fn rounded(name: &str, size: i64) -> BinderResult<u64> {
    u64::try_from(size)
        .map_err(|_| invalid(&format!("{name} {size}: it must not be negative")))?
        .checked_next_multiple_of(ALIGNMENT)
        .filter(|size| i64::try_from(*size).is_ok())
        .ok_or_else(|| invalid(&format!("{name} {size}: it is too large for a file")))
}

fn invalid(text: &str) -> Status {
    exception(ExceptionCode::IllegalArgument, text)
}

/// Makes the file `idsig` the idsig of the APK `input`, unless it is that already. After a failure the
/// file is as it was.
///
/// # Errors
/// ILLEGAL_ARGUMENT if a descriptor is not that of a regular file, open as it must be, if both are of
/// one file, or `idsig` has other content than an idsig; the default error if the APK is not signed,
/// or reading or writing fails.
pub(super) fn update_idsig(
    input: &ParcelFileDescriptor,
    idsig: &ParcelFileDescriptor,
    sdk: u32,
) -> BinderResult<()> {
    let input = regular("inputFd", input, OFlags::RDONLY).map_err(|e| Status::from(&e))?;
    let mut idsig = regular("idsigFd", idsig, OFlags::RDWR).map_err(|e| Status::from(&e))?;
    let is_new = apk_idsig::update(&input, &mut idsig, sdk).map_err(|e| {
        log::error!("createOrUpdateIdsigFile: {}", chain(&e));
        match e {
            apk_idsig::Error::SameFile | apk_idsig::Error::NotIdsig => exception(
                ExceptionCode::IllegalArgument,
                &format!("idsigFd: {}", chain(&e)),
            ),
            e => failure(&e),
        }
    })?;
    log::debug!("idsig {}", if is_new { "made" } else { "is up to date" });
    Ok(())
}

fn failed(what: &str, error: &io::Error) -> Status {
    failure(&io::Error::new(error.kind(), format!("{what}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;

    fn image() -> (tempfile::NamedTempFile, ParcelFileDescriptor) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![7; 10_000]).unwrap();
        let fd = ParcelFileDescriptor::new(file.reopen().unwrap());
        (file, fd)
    }

    #[test]
    fn each_type_has_its_head_and_a_rounded_size() {
        for (kind, size, head) in [
            (PartitionType::RAW, 1, b"" as &[u8]),
            (
                PartitionType::ANDROID_VM_INSTANCE,
                4096,
                b"Android-VM-instance\x01\x00",
            ),
            (PartitionType::ENCRYPTEDSTORE, 4097, b"UNFORMATTED-STORAGE"),
        ] {
            let (file, fd) = image();
            initialize(&fd, size, kind).unwrap();
            let mut content = Vec::new();
            file.reopen().unwrap().read_to_end(&mut content).unwrap();
            let rounded = usize::try_from(size).unwrap().next_multiple_of(4096);
            assert_eq!(content.len(), rounded);
            assert_eq!(&content[..head.len()], head);
            assert!(content[head.len()..].iter().all(|b| *b == 0));
        }
    }

    #[test]
    fn bad_input_leaves_the_file_as_it_was() {
        let (file, fd) = image();
        for (size, kind) in [
            (-1, PartitionType::RAW),
            (i64::MAX, PartitionType::RAW),
            (4096, PartitionType(9)),
            (0, PartitionType::ENCRYPTEDSTORE),
        ] {
            let error = initialize(&fd, size, kind).unwrap_err();
            assert_eq!(error.exception_code(), ExceptionCode::IllegalArgument);
        }
        let error = update_idsig(&fd, &fd, 35).unwrap_err();
        assert_eq!(error.exception_code(), ExceptionCode::IllegalArgument);
        let apk = tempfile::tempfile().unwrap();
        let error = update_idsig(&ParcelFileDescriptor::new(apk), &fd, 35).unwrap_err();
        assert_eq!(error.exception_code(), ExceptionCode::IllegalArgument);
        let read_only = ParcelFileDescriptor::new(File::open(file.path()).unwrap());
        let error = initialize(&read_only, 4096, PartitionType::RAW).unwrap_err();
        assert_eq!(error.exception_code(), ExceptionCode::IllegalArgument);
        assert_eq!(std::fs::metadata(file.path()).unwrap().len(), 10_000);
    }

    #[test]
    fn a_storage_only_grows_and_keeps_its_content() {
        let (file, fd) = image();
        let error = resize(&fd, 4096).unwrap_err();
        assert_eq!(error.exception_code(), ExceptionCode::IllegalArgument);
        assert!(error.to_string().contains("has 10000 bytes"), "{error}");
        assert!(resize(&fd, -1).is_err() && resize(&fd, i64::MAX).is_err());
        resize(&fd, 12_289).unwrap();
        let content = std::fs::read(file.path()).unwrap();
        assert_eq!(content.len(), 16384);
        assert!(content[..10_000].iter().all(|b| *b == 7));
        assert!(content[10_000..].iter().all(|b| *b == 0));
    }

    #[test]
    fn a_failure_leaves_no_half_image() {
        use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
        let flags = MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC;
        let image = File::from(memfd_create("image", flags).unwrap());
        // As a full disk: the size can be set, nothing can be written.
        fcntl_add_seals(&image, SealFlags::WRITE).unwrap();
        let fd = ParcelFileDescriptor::new(image.try_clone().unwrap());
        let error = initialize(&fd, 4096, PartitionType::ENCRYPTEDSTORE).unwrap_err();
        assert!(
            error.to_string().contains("cannot write to imageFd"),
            "{error}"
        );
        assert_eq!(image.metadata().unwrap().len(), 0);
    }
}
