// SPDX-License-Identifier: Apache-2.0
//! The bytes of the protective MBR and the GPT (UEFI specification 2.10, chapter 5).

use uuid::{Uuid, uuid};

use crate::{FOOTER_LEN, HEADER_LEN, MAX_LABEL_UNITS, MAX_PARTITIONS, SECTOR};

/// "Linux filesystem data", the type of every partition.
const PARTITION_TYPE: Uuid = uuid!("0FC63DAF-8483-4772-8E79-3D69D8477DE4");

const GPT_HEADER_LEN: u32 = 92;
const GPT_REVISION_1_0: u32 = 0x0001_0000;
const ENTRY_LEN: u8 = 128;
const ENTRIES_LEN: usize = MAX_PARTITIONS as usize * ENTRY_LEN as usize;
const ENTRIES_SECTORS: u64 = ENTRIES_LEN as u64 / SECTOR;

/// Zeros between the last partition and the backup entries.
const FOOTER_PADDING: usize = 3584;

/// The value of an entry: where one partition lies.
pub(crate) struct Entry {
    pub(crate) guid: Uuid,
    pub(crate) first_lba: u64,
    /// Inclusive.
    pub(crate) last_lba: u64,
    pub(crate) name: Vec<u16>,
}

/// Both copies of the partition table.
pub(crate) struct Tables {
    /// The first [`HEADER_LEN`] bytes of the disk.
    pub(crate) header: Vec<u8>,
    /// The last [`FOOTER_LEN`] bytes of the disk.
    pub(crate) footer: Vec<u8>,
}

/// Writes both copies for a disk of `disk_size` bytes, a multiple of the sector size.
///
/// The caller keeps to [`MAX_PARTITIONS`] and [`MAX_LABEL_UNITS`]; what is beyond them is left out.
pub(crate) fn tables(disk_size: u64, disk_guid: Uuid, entries: &[Entry]) -> Tables {
    let entry_bytes = entry_array(entries);
    let last_lba = disk_size / SECTOR - 1;
    let backup_entries_lba = last_lba - ENTRIES_SECTORS;
    let gpt = Gpt {
        disk_guid,
        first_usable_lba: HEADER_LEN / SECTOR,
        last_usable_lba: backup_entries_lba - 1,
        entries_crc: crc32fast::hash(&entry_bytes),
    };

    let mut header = protective_mbr(disk_size);
    header.extend(gpt.header(1, last_lba, 2));
    header.extend(&entry_bytes);
    pad(&mut header, HEADER_LEN);

    let mut footer = vec![0; FOOTER_PADDING];
    footer.extend(&entry_bytes);
    footer.extend(gpt.header(last_lba, 1, backup_entries_lba));
    pad(&mut footer, FOOTER_LEN);

    Tables { header, footer }
}

fn pad(bytes: &mut Vec<u8>, length: u64) {
    while (bytes.len() as u64) < length {
        bytes.push(0);
    }
}

/// One partition of type 0xEE that covers the whole disk, so that programs that only know the MBR
/// see a full disk and not an empty one.
fn protective_mbr(disk_size: u64) -> Vec<u8> {
    let mut mbr = vec![0; 446];
    // Not bootable; first sector (cylinder 0, head 0, sector 2), which is LBA 1.
    mbr.extend([0x00, 0x00, 0x02, 0x00]);
    // Type, and a last sector that cylinder, head and sector cannot express.
    mbr.extend([0xee, 0xff, 0xff, 0xff]);
    mbr.extend(1u32.to_le_bytes());
    let sectors = u32::try_from(disk_size / SECTOR - 1).unwrap_or(u32::MAX);
    mbr.extend(sectors.to_le_bytes());
    mbr.extend([0; 3 * 16]);
    mbr.extend([0x55, 0xaa]);
    mbr
}

/// What both GPT headers have in common.
struct Gpt {
    disk_guid: Uuid,
    first_usable_lba: u64,
    last_usable_lba: u64,
    entries_crc: u32,
}

impl Gpt {
    /// One sector: the header that lies at `own_lba`, with its sibling at `other_lba`.
    fn header(&self, own_lba: u64, other_lba: u64, entries_lba: u64) -> Vec<u8> {
        let with_crc = |crc: u32| {
            let mut bytes = b"EFI PART".to_vec();
            bytes.extend(GPT_REVISION_1_0.to_le_bytes());
            bytes.extend(GPT_HEADER_LEN.to_le_bytes());
            bytes.extend(crc.to_le_bytes());
            bytes.extend([0; 4]);
            bytes.extend(own_lba.to_le_bytes());
            bytes.extend(other_lba.to_le_bytes());
            bytes.extend(self.first_usable_lba.to_le_bytes());
            bytes.extend(self.last_usable_lba.to_le_bytes());
            bytes.extend(self.disk_guid.to_bytes_le());
            bytes.extend(entries_lba.to_le_bytes());
            bytes.extend(u32::from(MAX_PARTITIONS).to_le_bytes());
            bytes.extend(u32::from(ENTRY_LEN).to_le_bytes());
            bytes.extend(self.entries_crc.to_le_bytes());
            bytes
        };
        // The checksum covers the header with its own field zero.
        let mut bytes = with_crc(crc32fast::hash(&with_crc(0)));
        pad(&mut bytes, SECTOR);
        bytes
    }
}

fn entry_array(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ENTRIES_LEN);
    for entry in entries.iter().take(usize::from(MAX_PARTITIONS)) {
        bytes.extend(PARTITION_TYPE.to_bytes_le());
        bytes.extend(entry.guid.to_bytes_le());
        bytes.extend(entry.first_lba.to_le_bytes());
        bytes.extend(entry.last_lba.to_le_bytes());
        bytes.extend([0; 8]);
        let units = entry.name.iter().chain(std::iter::repeat(&0));
        bytes.extend(
            units
                .take(MAX_LABEL_UNITS)
                .flat_map(|unit| unit.to_le_bytes()),
        );
    }
    bytes.resize(ENTRIES_LEN, 0);
    bytes
}
