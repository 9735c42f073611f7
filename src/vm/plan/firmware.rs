// SPDX-License-Identifier: Apache-2.0
//! What a VM's firmware is and finds: firmware of protected VMs, flash memories, tables, overlays of
//! the device tree.

use super::invalid;
use crate::error::Error;
use crate::fd::regular;
use avf_aidl::service::{SmbiosOptions, VirtualMachineRawConfig};
use host::{Hypervisor, PvmFirmware};
use rsbinder::ParcelFileDescriptor;
use rustix::fs::{OFlags, fcntl_getfl};
use std::fs::File;
use uuid::Uuid;
use vmm::plan::{Firmware, MAX_OEM_STRINGS, MAX_SMBIOS_BYTES, Overlay, Pflash, Protection, Smbios};

/// The most flash memories that any machine has.
const MAX_PFLASH: usize = 2;
/// A flash memory is erased in blocks of this size.
const PFLASH_BLOCK: u64 = 4096;

/// How a protected VM is started, and the firmware of such VMs that is tried out in another VM.
pub(super) fn protection(
    config: &VirtualMachineRawConfig,
    hypervisor: &Hypervisor,
) -> Result<(Option<Protection>, Option<File>), Error> {
    let given = config
        .customPvmfw
        .as_ref()
        .map(|fd| regular("customPvmfw", fd, OFlags::RDONLY))
        .transpose()?;
    let swiotlb_mib = super::memory::swiotlb(config.swiotlbMib)?;
    if !config.protectedVm {
        return Ok((None, given));
    }
    let firmware = match (&hypervisor.firmware, given) {
        (PvmFirmware::Own, Some(file)) => Firmware::File(file),
        // The host's settings come first.
        (host, _) => Firmware::Host(host.clone()),
    };
    let protection = Protection {
        firmware,
        swiotlb_mib,
    };
    Ok((Some(protection), None))
}

/// The flash memories of `pflash`. A guest may write to those that its client may write to.
pub(super) fn pflash(list: &[ParcelFileDescriptor]) -> Result<Vec<Pflash>, Error> {
    if list.len() > MAX_PFLASH {
        return Err(invalid(format!(
            "pflash: there are {}, at most {MAX_PFLASH} are allowed",
            list.len()
        )));
    }
    list.iter()
        .enumerate()
        .map(|(index, fd)| {
            let field = format!("pflash[{index}]");
            let image = regular(&field, fd, OFlags::RDONLY)?;
            let io = |e| Error::io(format!("cannot examine {field}"), e);
            let size = image.metadata().map_err(io)?.len();
            if size == 0 || !size.is_multiple_of(PFLASH_BLOCK) {
                return Err(invalid(format!(
                    "{field}: it has {size} bytes, but a flash memory has a multiple of {PFLASH_BLOCK}; enlarge it"
                )));
            }
            let flags = fcntl_getfl(&image)
                .map_err(|e| Error::io(format!("cannot read the flags of {field}"), e))?;
            Ok(Pflash {
                image,
                writable: flags & OFlags::ACCMODE == OFlags::RDWR,
            })
        })
        .collect()
}

/// The overlay of `deviceTreeOverlay`.
pub(super) fn overlays(overlay: Option<&ParcelFileDescriptor>) -> Result<Vec<Overlay>, Error> {
    let overlay = overlay.map(|fd| {
        Ok(Overlay {
            file: regular("deviceTreeOverlay", fd, OFlags::RDONLY)?,
            filtered: false,
        })
    });
    overlay.into_iter().collect()
}

/// The words of `smbiosOptions`; none if it says nothing.
pub(super) fn smbios(options: &SmbiosOptions) -> Result<Option<Smbios>, Error> {
    let text = |name: &str, text: &Option<String>| {
        text.as_deref()
            .map(|text| smbios_text(&format!("smbiosOptions.{name}"), text))
            .transpose()
    };
    let count = options.oemStrings.len();
    if count > MAX_OEM_STRINGS {
        return Err(invalid(format!(
            "smbiosOptions.oemStrings: there are {count}, at most {MAX_OEM_STRINGS} are allowed"
        )));
    }
    let strings = options.oemStrings.iter().enumerate();
    let oem_strings = strings
        .map(|(index, text)| smbios_text(&format!("smbiosOptions.oemStrings[{index}]"), text))
        .collect::<Result<_, _>>()?;
    let smbios = Smbios {
        bios_vendor: text("biosVendor", &options.biosVendor)?,
        bios_version: text("biosVersion", &options.biosVersion)?,
        manufacturer: text("manufacturer", &options.manufacturer)?,
        product_name: text("productName", &options.productName)?,
        serial_number: text("serialNumber", &options.serialNumber)?,
        uuid: options.uuid.as_deref().map(smbios_uuid).transpose()?,
        oem_strings,
    };
    let bytes = smbios.bytes();
    if bytes > MAX_SMBIOS_BYTES {
        return Err(invalid(format!(
            "smbiosOptions: its texts have {bytes} bytes together, at most {MAX_SMBIOS_BYTES} are allowed"
        )));
    }
    Ok((!smbios.is_empty()).then_some(smbios))
}

fn smbios_text(field: &str, text: &str) -> Result<String, Error> {
    match Smbios::fault(text) {
        None => Ok(text.to_owned()),
        Some(fault) => Err(invalid(format!(
            "{field} \"{}\": {fault}",
            text.escape_default()
        ))),
    }
}

/// A UUID in its one form with hyphens.
fn smbios_uuid(text: &str) -> Result<Uuid, Error> {
    text.parse::<Uuid>()
        .ok()
        .filter(|uuid| uuid.to_string().eq_ignore_ascii_case(text))
        .ok_or_else(|| {
            invalid(format!(
                "smbiosOptions.uuid \"{}\": it must have the form 01234567-89ab-cdef-0123-456789abcdef",
                text.escape_default()
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn fault<T: std::fmt::Debug>(result: Result<T, Error>, part: &str) {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{error}");
        let text = error.to_string();
        assert!(text.contains(part), "{text:?} does not contain {part:?}");
    }

    fn memory(bytes: u64) -> ParcelFileDescriptor {
        let file = tempfile::tempfile().unwrap();
        file.set_len(bytes).unwrap();
        ParcelFileDescriptor::new(file)
    }

    fn hypervisor(firmware: PvmFirmware) -> Hypervisor {
        Hypervisor {
            memory_reclaim: true,
            protected_vms: true,
            firmware,
        }
    }

    #[test]
    fn the_hosts_firmware_comes_before_the_clients() {
        let of = |protected, firmware| {
            let config = VirtualMachineRawConfig {
                protectedVm: protected,
                swiotlbMib: 3,
                customPvmfw: Some(memory(1)),
                ..Default::default()
            };
            protection(&config, &hypervisor(firmware)).unwrap()
        };
        let (protection, pvmfw) = of(false, PvmFirmware::Own);
        assert!(protection.is_none() && pvmfw.is_some());
        let (protection, pvmfw) = of(true, PvmFirmware::Own);
        let protection = protection.unwrap();
        assert!(pvmfw.is_none() && matches!(protection.firmware, Firmware::File(_)));
        assert_eq!(protection.swiotlb_mib.unwrap().get(), 3);
        let (protection, _) = of(true, PvmFirmware::Absent);
        assert!(matches!(
            protection.unwrap().firmware,
            Firmware::Host(PvmFirmware::Absent)
        ));
    }

    #[test]
    fn flash_memories() {
        let read_only = ParcelFileDescriptor::new(File::open("/dev/null").unwrap());
        fault(pflash(&[read_only]), "pflash[0]: it must be a regular file");
        fault(pflash(&[memory(0)]), "pflash[0]: it has 0 bytes");
        fault(
            pflash(&[memory(4096), memory(4097)]),
            "pflash[1]: it has 4097 bytes",
        );
        let three = [memory(4096), memory(4096), memory(4096)];
        fault(pflash(&three), "pflash: there are 3");
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4096).unwrap();
        let read_only = ParcelFileDescriptor::new(File::open(file.path()).unwrap());
        let memories = pflash(&[read_only, memory(8192)]).unwrap();
        assert!(!memories[0].writable && memories[1].writable);
    }

    #[test]
    fn texts_of_the_firmwares_tables() {
        let with = |change: fn(&mut SmbiosOptions)| {
            let mut options = SmbiosOptions::default();
            change(&mut options);
            smbios(&options)
        };
        assert_eq!(with(|_| {}).unwrap(), None);
        let given = with(|o| {
            o.biosVendor = Some("a, [b]".into());
            o.uuid = Some("12E474AF-2cc1-49d1-b0e5-d03a3e03ca03".into());
            o.oemStrings = vec!["c".into()];
        });
        let given = given.unwrap().unwrap();
        assert_eq!(given.bios_vendor.as_deref(), Some("a, [b]"));
        assert!(given.uuid.is_some() && given.oem_strings == ["c"]);
        fault(
            with(|o| o.serialNumber = Some(String::new())),
            "smbiosOptions.serialNumber \"\": it is empty",
        );
        fault(
            with(|o| o.oemStrings = vec!["a".into(), "b\n".into()]),
            "smbiosOptions.oemStrings[1] \"b\\n\": ",
        );
        for uuid in [
            "",
            "12e474af2cc149d1b0e5d03a3e03ca03",
            "{12e474af-2cc1-49d1-b0e5-d03a3e03ca03}",
            "zzzz",
        ] {
            let options = SmbiosOptions {
                uuid: Some(uuid.into()),
                ..Default::default()
            };
            fault(
                smbios(&options),
                &format!("smbiosOptions.uuid \"{uuid}\": "),
            );
        }
        fault(
            with(|o| o.oemStrings = vec!["a".into(); 256]),
            "there are 256",
        );
        fault(
            with(|o| o.productName = Some("a".repeat(40_000))),
            "40000 bytes",
        );
    }
}
