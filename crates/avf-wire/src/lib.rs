// SPDX-License-Identifier: Apache-2.0
//! The wire of the Android Virtualization Framework's interfaces, release by release.
//!
//! Android's VM interfaces have no version: fields and methods are inserted in their middle from
//! release to release, and a peer of another release would be misread. This crate recognises which
//! release a peer speaks by reading its calls strictly ([`Wire`]), serves peers of every release onto
//! traits that know of none ([`server`]), and speaks any release to a server ([`client`]).
//!
//! The types are those of the newest release (crate `avf-aidl`); what an older release says is
//! expressed in them. The Cargo features `wire-15`, `wire-16` and `wire-17` choose whose `createVm`
//! can be read; at least one is needed.
#![forbid(unsafe_code)]

mod call;
#[cfg(feature = "checks")]
pub mod checks;
pub mod client;
mod interfaces;
mod read;
mod recognise;
mod release;
pub mod server;
mod write;

#[cfg(test)]
mod tests;

pub use read::{CreateVm, Stop};
pub use recognise::{Default, Recognised, Wire, recognise};
pub use release::{Release, UnknownRelease, built};
