// SPDX-License-Identifier: Apache-2.0
//! The binder objects that clients and guests call.

mod guest;
mod image;
mod virtual_machine;
mod virtualization;

pub use guest::GuestService;
pub use virtual_machine::VirtualMachine;
pub use virtualization::VirtualizationService;
