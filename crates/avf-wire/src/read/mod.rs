// SPDX-License-Identifier: Apache-2.0
//! Reads the arguments of `createVm` as a given release writes them, into the newest release's types.

mod app;
mod devices;
mod raw;
mod words;

pub use words::Stop;
pub(crate) use words::{NoObjects, Objects, Read, Reader};

use crate::release::{Layout, field};
use avf_aidl::service::VirtualMachineConfig;
use rsbinder::ParcelFileDescriptor;

/// The arguments of `createVm`, whichever release they came from.
#[derive(Debug, Default)]
pub struct CreateVm {
    /// The VM.
    pub config: VirtualMachineConfig,
    /// Where the guest's console goes.
    pub console_out: Option<ParcelFileDescriptor>,
    /// Where its input comes from.
    pub console_in: Option<ParcelFileDescriptor>,
    /// Where its log goes.
    pub os_log: Option<ParcelFileDescriptor>,
    /// Where its device tree is to be written.
    pub dump_dt: Option<ParcelFileDescriptor>,
}

/// Reads `words` as `layout` has them; also says which differences between layouts mattered.
pub(crate) fn create_vm(
    words: &[u32],
    layout: &'static Layout,
    objects: &mut dyn Objects,
) -> (Result<CreateVm, Stop>, field::Set) {
    let mut reader = Reader::new(words, layout, objects);
    let read = arguments(&mut reader).map_err(|_| reader.why());
    (read, reader.asked())
}

fn arguments(r: &mut Reader<'_>) -> Read<CreateVm> {
    let config = match r.tag("config", 2)? {
        0 => VirtualMachineConfig::AppConfig(app::config(r)?),
        _ => VirtualMachineConfig::RawConfig(raw::config(r)?),
    };
    let console_out = r.nullable_file("consoleOutFd")?;
    let console_in = r.nullable_file("consoleInFd")?;
    let os_log = r.nullable_file("osLogFd")?;
    let dump_dt = if r.has(field::QPR2) {
        r.nullable_file("dumpDtFd")?
    } else {
        None
    };
    r.finish()?;
    Ok(CreateVm {
        config,
        console_out,
        console_in,
        os_log,
        dump_dt,
    })
}
