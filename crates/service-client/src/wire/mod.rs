// SPDX-License-Identifier: Apache-2.0
//! What managers and the global service say to each other, in the form of each release.
//!
//! `IVirtualizationServiceInternal` has no version: methods were inserted in its middle. [`Form`] has the
//! codes of each form, [`fits`] tells which form a call's bytes are of, and [`Internal`] calls a service
//! of any form.

mod fit;
mod form;
mod info;
mod internal;
mod listed;
mod release;

pub use avf_wire::{Release, UnknownRelease, built};
pub use fit::fits;
pub use form::{Argument, Form, Method};
pub use info::{ask as ask_debug_info, write as write_debug_infos};
pub use internal::{Allocated, Internal};
pub use listed::ListedVm;
pub use release::{WIRE_VARIABLE, Wire};

/// The interface that this module is about.
pub const DESCRIPTOR: &str =
    "android.system.virtualizationservice_internal.IVirtualizationServiceInternal";
