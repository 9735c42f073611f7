// SPDX-License-Identifier: Apache-2.0
//! What a protected VM starts with must come from where only the platform, a package manager or a
//! shell can write: its SELinux label says so. Without a label there is no proof.

use crate::error::{Error, Kind};
use microdroid::{IDSIG_PARTITION, INSTANCE_PARTITION, METADATA_PARTITION, STORAGE_PARTITION};
use rustix::fs::fgetxattr;
use rustix::io::Errno;
use std::os::fd::AsFd;
use vmm::plan::{Boot, Disk, DiskContent, Firmware, Protection};

/// The attribute that holds a file's SELinux context.
const ATTRIBUTE: &str = "security.selinux";
/// The types of files that a protected VM may be made of.
const TRUSTED: [&str; 7] = [
    "apk_data_file",
    "shell_data_file",
    "staging_data_file",
    "apex_dm_device",
    "system_file",
    "virtualizationservice_data_file",
    "vendor_microdroid_file",
];
/// Which partitions of a protected VM may come from anywhere, because its guest verifies or
/// encrypts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelPolicy {
    /// The labels for a raw config: its instance.
    Raw,
    /// The labels for an app config: also its storage, and what the manager or the client made for it.
    App,
    /// All: the vendor answers for its own files.
    Vendor,
}

impl LabelPolicy {
    fn has(self, label: &str) -> bool {
        match self {
            Self::Vendor => true,
            Self::Raw => label == INSTANCE_PARTITION,
            Self::App => {
                [
                    INSTANCE_PARTITION,
                    STORAGE_PARTITION,
                    IDSIG_PARTITION,
                    METADATA_PARTITION,
                ]
                .contains(&label)
                    || label.starts_with(EXTRA_IDSIG)
            }
        }
    }
}

/// What the partitions of further APKs' idsigs begin with.
const EXTRA_IDSIG: &str = "extra-idsig-";

/// Refuses files whose labels are not those of trusted places.
///
/// # Errors
/// [`Kind::Failure`], naming the field.
pub(super) fn check(
    boot: &Boot,
    protection: &Protection,
    disks: &[Disk],
    policy: LabelPolicy,
) -> Result<(), Error> {
    if policy == LabelPolicy::Vendor {
        return Ok(());
    }
    let (first, initrd) = match boot {
        Boot::Kernel { kernel, initrd, .. } => (("kernel", kernel), initrd),
        Boot::Bootloader { image, initrd, .. } => (("bootloader", image), initrd),
    };
    check_file(first.0, first.1)?;
    if let Some(initrd) = initrd {
        check_file("initrd", initrd)?;
    }
    if let Firmware::File(file) = &protection.firmware {
        check_file("customPvmfw", file)?;
    }
    for (number, disk) in disks.iter().enumerate() {
        let DiskContent::Partitions(partitions) = &disk.content else {
            continue;
        };
        for (index, partition) in partitions.iter().enumerate() {
            if !policy.has(&partition.label) {
                check_file(
                    &format!(
                        "disks[{number}].partitions[{index}].image ('{}')",
                        partition.label
                    ),
                    &partition.image,
                )?;
            }
        }
    }
    Ok(())
}

fn check_file(field: &str, file: impl AsFd) -> Result<(), Error> {
    let untrusted = |why: String| {
        Error::new(
            Kind::Failure,
            format!(
                "{field}: {why}; a protected VM accepts only files of these SELinux types: {}",
                TRUSTED.join(", ")
            ),
        )
    };
    let context = match context(file) {
        Ok(context) => context,
        Err(Errno::NODATA | Errno::OPNOTSUPP) => {
            return Err(untrusted("it has no SELinux label".into()));
        }
        Err(e) => {
            return Err(Error::io(
                format!("cannot read the SELinux label of {field}"),
                e,
            ));
        }
    };
    match selinux_type(&context) {
        Some(name) if TRUSTED.contains(&name) => Ok(()),
        Some(name) => Err(untrusted(format!("its SELinux type is {name}"))),
        None => Err(untrusted(format!(
            "its SELinux label is {context:?}, which is not one"
        ))),
    }
}

fn context(file: impl AsFd) -> Result<String, Errno> {
    let mut buffer = [0; 512];
    let length = fgetxattr(file, ATTRIBUTE, &mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length])
        .trim_end_matches('\0')
        .to_owned())
}

/// The third of the four or five fields of a context.
fn selinux_type(context: &str) -> Option<&str> {
    let fields: Vec<&str> = context.splitn(5, ':').collect();
    (fields.len() >= 4)
        .then(|| fields[2])
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_the_third_field() {
        assert_eq!(
            selinux_type("u:object_r:system_file:s0"),
            Some("system_file")
        );
        assert_eq!(
            selinux_type("u:object_r:apk_data_file:s0:c1,c2"),
            Some("apk_data_file")
        );
        for bad in ["", "u:object_r:system_file", "a:b::s0"] {
            assert_eq!(selinux_type(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_the_guest_verifies_is_exempt() {
        for (label, raw, app) in [
            ("vm-instance", true, true),
            ("encryptedstore", false, true),
            ("microdroid-apk-idsig", false, true),
            ("payload-metadata", false, true),
            ("extra-idsig-12", false, true),
            ("extra-apk-12", false, false),
            ("microdroid-apk", false, false),
            ("microdroid-apex-0", false, false),
        ] {
            assert_eq!(LabelPolicy::Raw.has(label), raw, "{label}");
            assert_eq!(LabelPolicy::App.has(label), app, "{label}");
        }
    }

    /// Real labels, which only root may write.
    #[test]
    fn labels_decide_about_every_file() {
        let labelled = |name: &str| {
            let file = tempfile::tempfile().unwrap();
            let context = format!("u:object_r:{name}:s0\0");
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::fsetxattr(&file, ATTRIBUTE, context.as_bytes(), flags).map(|()| file)
        };
        let Ok(trusted) = labelled("apk_data_file") else {
            skip::skip!("no labels can be written here");
            return;
        };
        check_file("kernel", &trusted).unwrap();
        let error = check_file("kernel", labelled("app_data_file").unwrap()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("kernel: its SELinux type is app_data_file")
        );
        let boot = || Boot::Kernel {
            kernel: trusted.try_clone().unwrap(),
            initrd: None,
            params: String::new(),
        };
        let disk = |label: &str| {
            let partition = vmm::plan::Partition {
                label: label.into(),
                image: labelled("app_data_file").unwrap(),
                writable: false,
                guid: None,
            };
            [DiskContent::Partitions(vec![partition]).into()]
        };
        let own = Protection {
            firmware: Firmware::Host(host::PvmFirmware::Own),
            swiotlb_mib: None,
        };
        check(&boot(), &own, &disk("extra-idsig-0"), LabelPolicy::App).unwrap();
        check(&boot(), &own, &disk("extra-apk-0"), LabelPolicy::Vendor).unwrap();
        let error = check(&boot(), &own, &disk("extra-apk-0"), LabelPolicy::App).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("disks[0].partitions[0].image ('extra-apk-0')")
        );
        let clients = Protection {
            firmware: Firmware::File(labelled("app_data_file").unwrap()),
            swiotlb_mib: None,
        };
        let error = check(&boot(), &clients, &[], LabelPolicy::App).unwrap_err();
        assert!(error.to_string().starts_with("customPvmfw: "), "{error}");
    }

    #[test]
    fn a_file_without_a_label_is_not_trusted() {
        let file = tempfile::tempfile().unwrap();
        let error = check_file("kernel", &file).unwrap_err().to_string();
        assert!(
            error.starts_with("kernel: it has no SELinux label"),
            "{error}"
        );
    }
}
