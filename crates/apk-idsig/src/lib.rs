// SPDX-License-Identifier: Apache-2.0
//! What a virtual machine needs to trust an APK: the digest that the APK's signature covers, the
//! root of its fs-verity tree, and the file that says both.
//!
//! ```text
//!   APK ──apk_digest──▶ digest of the strongest signature ┐
//!    │                                                    ├──▶ idsig file (signature scheme v4)
//!    └──HashTree::of──▶ fs-verity tree, root hash ────────┘
//! ```
//!
//! - [`apk_digest`] finds the signing block of an APK and the digest in it.
//! - [`HashTree`] is the Merkle tree of a file, computed on all cores without loading the file.
//! - [`Idsig`] reads and writes the file format; [`update`] brings a file up to date.
//! - [`Verified`] reads a file whose root hash is known, and returns only what it has hashed.
//!
//! An APK is read by position, so its descriptor's offset does not matter, and it may be hostile:
//! every length in it is checked against what is there.
#![forbid(unsafe_code)]

mod block;
mod error;
mod idsig;
mod reader;
mod signer;
mod tree;
mod update;
mod verified;
mod zip;

pub use block::apk_digest;
pub use error::Error;
pub use idsig::{HashingInfo, Idsig, MAX_FIELD, SigningInfo};
pub use signer::{ApkDigest, SignatureAlgorithm};
pub use tree::{BLOCK, HashTree};
pub use update::update;
pub use verified::Verified;

/// Compiles the example of the read-me file.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
