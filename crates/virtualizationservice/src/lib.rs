// SPDX-License-Identifier: Apache-2.0
//! The global virtualization service: allocates resources of the whole machine to the managers of VMs.
//!
//! | module | what it is |
//! | --- | --- |
//! | `cids`, `last_cid` | which CIDs are held, which is next, also after a restart |
//! | `contexts` | a CID, a directory and a note for each VM, and what becomes of them |
//! | `instances` | ids of VM instances and whose they are |
//! | `tap`, `vfio`, `dtbo` | network interfaces and devices of the host for VMs |
//! | `display`, `atoms`, `hal` | what shows displays, what is counted, the device's own services |
//! | `service`, `maintenance` | the binder objects |
//! | `serve`, `single` | from start to signal; one on a machine |

mod atoms;
mod cids;
mod contexts;
mod display;
mod dtbo;
mod hal;
mod instances;
mod last_cid;
mod maintenance;
mod paths;
mod serve;
mod service;
mod single;
mod status;
mod tap;
mod vfio;

pub use atoms::AtomIds;
pub use paths::Paths;
pub use serve::{BinderChoice, DEFAULT_GROUP, Options, serve};
