// SPDX-License-Identifier: Apache-2.0
//! What the programs of this workspace share about the host that they run on.
//!
//! | item | what it is |
//! | --- | --- |
//! | [`Host`] | the root directory, paths below it, properties, the hypervisor |
//! | [`logger`] | the log on standard error |
//! | [`chain`] | an error and its causes on one line |
//! | [`with_remedy`] | a system error with what can be done about it |
//! | [`printable`] | a text of others that cannot control a terminal |

pub mod logger;
mod platform;
mod text;

pub use platform::{Host, Hypervisor, PvmFirmware};
pub use sysprop::{ROOT_VARIABLE, RootError, has_raised_privileges, root};
pub use text::{chain, printable, with_remedy};
