// SPDX-License-Identifier: Apache-2.0
//! One GPT disk made of many partition files.
//!
//! A virtual machine's disk is often given as a list of files, one per partition. The guest must
//! see one disk with a GUID partition table (GPT). Nothing is copied for that: the disk is a list
//! of [components](Component), each a range of bytes that comes from a partition's file, from a
//! table made here, or is zero. The same list describes the disk to every VMM, so a guest sees
//! the same bytes whichever one runs it.
//!
//! - [`Layout`] computes that list; it opens nothing and is a pure function of its input.
//! - [`vmdk`] writes a descriptor with which QEMU serves a list whose partitions all have the same
//!   access mode.
//! - [`composite()`] writes the file with which crosvm serves any list.
//! - [`Image`] tells how large a partition's file is and refuses formats that cannot be partitions.
//! - [`unfold`] says where the bytes of an Android sparse image are.
//! - [`reopen`] and [`open_own`] give a descriptor with exactly the access mode a partition needs.
//!
//! The table's bytes are written by this crate and not by a GPT crate: a VMM's disk has its first
//! partition at sector 40, 33 sectors of backup at its very end after 7 unused ones, and is never
//! one file that could be written to; the crates at hand write into one seekable file with an
//! alignment of their own choosing.

#![forbid(unsafe_code)]

mod composite;
mod file;
mod gpt;
mod layout;
mod sparse;
mod vmdk;

pub use composite::{Composite, CompositeError, CompositeFile, composite};
pub use file::{FileError, Image, open_own, reopen};
pub use layout::{Access, Component, Layout, LayoutError, Partition, Source};
pub use sparse::{Extent, ExtentContent, MAX_EXTENTS, unfold};
pub use vmdk::{Vmdk, VmdkError, VmdkFile, vmdk};

/// Bytes of one sector; every LBA of the table counts in these.
pub const SECTOR: u64 = 512;

/// Every partition starts at, and is padded to, a multiple of this many bytes.
pub const PARTITION_ALIGNMENT: u64 = 4096;

/// Bytes before the first partition: protective MBR, GPT header, entries, padding up to LBA 40.
pub const HEADER_LEN: u64 = 40 * SECTOR;

/// Bytes after the last partition: padding, backup entries, backup GPT header.
pub const FOOTER_LEN: u64 = 40 * SECTOR;

/// The table has this many entries, so a disk has at most this many partitions.
pub const MAX_PARTITIONS: u8 = 128;

/// A partition's name has at most this many UTF-16 code units.
pub const MAX_LABEL_UNITS: usize = 36;

/// Compiles the example of the read-me file.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
