// SPDX-License-Identifier: Apache-2.0
//! The binder objects that clients and guests call.

mod callbacks;
mod guest;
mod image;
mod machine;
pub mod status;
mod virtualization;

pub use callbacks::Callbacks;
pub(crate) use callbacks::death_reason;
pub use guest::GuestService;
pub use machine::Machine;
pub use virtualization::VirtualizationService;
