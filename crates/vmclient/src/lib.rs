// SPDX-License-Identifier: Apache-2.0
//! A client of the VM manager.
//!
//! ```text
//!   Manager::start ── fork ──▶ virtmgr --rpc-server-fd N --ready-fd M
//!         │                       │ byte `o` on M
//!         │◀──── RPC binder ──────┤ IVirtualizationService over N
//!         ▼                       │
//!   Manager::create_vm ──────────▶│ VmInstance: its callback is registered at once
//!   VmInstance::start  ──────────▶│ runs the VMM
//!         ▲  events: started, ready, finished, error, died
//! ```
//!
//! A VM that another client created is reached through its directory: [`Control`].
//!
//! Waiting is done on condition variables and descriptors; nothing here polls. The manager ends
//! when its [`Manager`] is dropped, a VM when its [`VmInstance`] is.
#![forbid(unsafe_code)]

pub mod console;
pub mod control;
pub mod detached;
pub mod error;
pub mod event;
pub mod instance;
pub mod manager;
pub mod names;
pub mod options;

mod files;
mod launch;
mod locate;
mod process;
mod reader;
mod release;
mod thread;

/// Compiles the example of the read-me.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;

pub use avf_aidl;
pub use control::Control;
pub use detached::{Detached, spawn};
pub use error::{CallError, Error, NotReady};
pub use event::{Event, TimedEvent};
pub use instance::VmInstance;
pub use locate::{locate, locate_in_fixed_places};
pub use manager::{Ended, HangUp, Manager, Timing};
pub use names::{DeathReason, ErrorCode, State};
pub use options::{ManagerOptions, Stderr, Streams};
pub use reader::TAIL_BYTES;
pub use release::{Release, UnknownRelease};
pub use rsbinder;
