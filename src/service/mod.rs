// SPDX-License-Identifier: Apache-2.0
//! The binder objects that clients and guests call.

mod guest;
mod image;
mod machine;
mod virtualization;

pub use guest::GuestService;
pub use machine::Machine;
pub use virtualization::VirtualizationService;
