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
//! | `registrations` | VMs of managers whose contexts are numbers |
//! | `dispatch`, `callers` | the binder object for managers: calls of every release, and which one each caller speaks |
//! | `service`, `maintenance` | what managers and the system server call |
//! | `serve`, `single` | from start to signal; one on a machine |

mod atoms;
mod callers;
mod cids;
mod contexts;
mod dispatch;
mod display;
mod dtbo;
mod hal;
mod instances;
mod last_cid;
mod maintenance;
mod paths;
mod registrations;
mod serve;
mod service;
mod single;
mod status;
mod tap;
mod vfio;

pub use atoms::AtomIds;
pub use paths::Paths;
pub use serve::{BinderChoice, DEFAULT_GROUP, Options, serve};
