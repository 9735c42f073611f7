// SPDX-License-Identifier: Apache-2.0
//! `IVirtualMachine` for clients of every release.

use super::debug_info::DebugInfo;
use super::{answer, answer_nothing, resolve, unsupported};
use crate::interfaces::{MACHINE, MachineMethod};
use crate::recognise::Wire;
use avf_aidl::service::{
    BpVirtualMachine, DisplayConfig, IVirtualMachineCallback, VirtualMachineDebugInfo,
    VirtualMachineDisplay, VirtualMachineState,
};
use rsbinder::{
    Binder, BinderResult, ExceptionCode, Interface, Parcel, ParcelFileDescriptor, Proxy, Remotable,
    SIBinder, StatusCode, Strong, TransactionCode,
};
use std::io::Write;
use std::sync::Arc;

/// How short the host is of memory, as clients of Android 15 say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrimLevel {
    /// The host is about to kill processes.
    Critical,
    /// The host is low on memory.
    Low,
    /// The host is beginning to run low.
    Moderate,
}

/// What a client may ask of one of its VMs, in the newest release's types.
///
/// Each method answers with the exceptions of the interface's contract. What a server does not have is
/// refused with UNSUPPORTED_OPERATION.
#[expect(
    missing_docs,
    reason = "the methods are the interface's own; see the .aidl files"
)]
pub trait Machine: Send + Sync {
    fn cid(&self) -> BinderResult<i32>;
    fn state(&self) -> BinderResult<VirtualMachineState>;
    fn register_callback(&self, callback: &Strong<dyn IVirtualMachineCallback>)
    -> BinderResult<()>;
    fn unregister_callback(
        &self,
        _callback: &Strong<dyn IVirtualMachineCallback>,
    ) -> BinderResult<()> {
        unsupported("unregisterCallback")
    }
    fn start(&self) -> BinderResult<()>;
    fn stop(&self) -> BinderResult<()>;
    fn trim_memory(&self, _level: TrimLevel) -> BinderResult<()> {
        unsupported("onTrimMemory")
    }
    fn is_memory_balloon_enabled(&self) -> BinderResult<bool> {
        unsupported("isMemoryBalloonEnabled")
    }
    fn memory_balloon(&self) -> BinderResult<i64> {
        unsupported("getMemoryBalloon")
    }
    fn set_memory_balloon(&self, _bytes: i64) -> BinderResult<()> {
        unsupported("setMemoryBalloon")
    }
    fn connect_vsock(&self, _port: i32) -> BinderResult<ParcelFileDescriptor> {
        unsupported("connectVsock")
    }
    fn create_accessor_binder(&self, _instance: &str, _port: i32) -> BinderResult<SIBinder> {
        unsupported("createAccessorBinder")
    }
    fn set_host_console_name(&self, _path: &str) -> BinderResult<()> {
        unsupported("setHostConsoleName")
    }
    fn suspend(&self) -> BinderResult<()> {
        unsupported("suspend")
    }
    fn resume(&self) -> BinderResult<()> {
        unsupported("resume")
    }
    fn debug_info(&self) -> BinderResult<VirtualMachineDebugInfo> {
        unsupported("getDebugInfo")
    }
    fn add_memory_to_guest(&self) -> BinderResult<i32> {
        unsupported("addMemoryToGuest")
    }
    fn remove_memory_from_guest(&self, _id: i32) -> BinderResult<()> {
        unsupported("removeMemoryFromGuest")
    }
    fn guest_agent(&self) -> BinderResult<Option<SIBinder>> {
        unsupported("getGuestAgent")
    }
    fn guest_agent_port(&self) -> BinderResult<i32> {
        unsupported("getGuestAgentPort")
    }
    fn add_display(&self, _config: &DisplayConfig) -> BinderResult<()> {
        unsupported("addDisplay")
    }
    fn remove_display(&self, _id: i32) -> BinderResult<()> {
        unsupported("removeDisplay")
    }
    fn displays(&self) -> BinderResult<Vec<VirtualMachineDisplay>> {
        unsupported("getDisplays")
    }
}

/// The binder object of `server` for a client of which `wire` knows.
#[must_use]
pub fn machine(server: Arc<dyn Machine>, wire: Arc<Wire>) -> SIBinder {
    Binder::new(MachineObject { server, wire }).as_binder()
}

struct MachineObject {
    server: Arc<dyn Machine>,
    wire: Arc<Wire>,
}

impl Remotable for MachineObject {
    fn descriptor() -> &'static str {
        BpVirtualMachine::descriptor()
    }

    fn on_transact(
        &self,
        code: TransactionCode,
        arguments: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), StatusCode> {
        let Some((call, _)) = resolve(&self.wire, &MACHINE, code, arguments, reply)? else {
            return Ok(());
        };
        let server = &*self.server;
        match call.method.method {
            MachineMethod::GetCid => answer(reply, &server.cid()),
            MachineMethod::GetState => answer(reply, &server.state()),
            MachineMethod::RegisterCallback => {
                answer_nothing(reply, server.register_callback(&arguments.read()?))
            }
            MachineMethod::UnregisterCallback => {
                answer_nothing(reply, server.unregister_callback(&arguments.read()?))
            }
            MachineMethod::Start => answer_nothing(reply, server.start()),
            MachineMethod::Stop => answer_nothing(reply, server.stop()),
            MachineMethod::OnTrimMemory => {
                let level = trim_level(arguments.read()?);
                answer_nothing(reply, level.and_then(|level| server.trim_memory(level)))
            }
            MachineMethod::IsMemoryBalloonEnabled => {
                answer(reply, &server.is_memory_balloon_enabled())
            }
            MachineMethod::GetMemoryBalloon => answer(reply, &server.memory_balloon()),
            MachineMethod::SetMemoryBalloon => {
                answer_nothing(reply, server.set_memory_balloon(arguments.read()?))
            }
            MachineMethod::ConnectVsock => answer(reply, &server.connect_vsock(arguments.read()?)),
            MachineMethod::CreateAccessorBinder => {
                let (instance, port): (String, i32) = (arguments.read()?, arguments.read()?);
                answer(reply, &server.create_accessor_binder(&instance, port))
            }
            MachineMethod::SetHostConsoleName => {
                let path: String = arguments.read()?;
                answer_nothing(reply, server.set_host_console_name(&path))
            }
            MachineMethod::Suspend => answer_nothing(reply, server.suspend()),
            MachineMethod::Resume => answer_nothing(reply, server.resume()),
            MachineMethod::GetDebugInfo => {
                let info = server.debug_info();
                let info = info.as_ref().map(|info| DebugInfo {
                    info,
                    layout: call.layout,
                });
                answer(reply, &info.map_err(Clone::clone))
            }
            MachineMethod::AddMemoryToGuest => answer(reply, &server.add_memory_to_guest()),
            MachineMethod::RemoveMemoryFromGuest => {
                answer_nothing(reply, server.remove_memory_from_guest(arguments.read()?))
            }
            MachineMethod::GetGuestAgent => answer(reply, &server.guest_agent()),
            MachineMethod::GetGuestAgentPort => answer(reply, &server.guest_agent_port()),
            MachineMethod::AddDisplay => {
                answer_nothing(reply, server.add_display(&arguments.read()?))
            }
            MachineMethod::RemoveDisplay => {
                answer_nothing(reply, server.remove_display(arguments.read()?))
            }
            MachineMethod::GetDisplays => answer(reply, &server.displays()),
        }
    }

    fn on_dump(&self, _writer: &mut dyn Write, _args: &[String]) -> Result<(), StatusCode> {
        Ok(())
    }
}

fn trim_level(level: i32) -> BinderResult<TrimLevel> {
    match level {
        0 => Ok(TrimLevel::Critical),
        1 => Ok(TrimLevel::Low),
        2 => Ok(TrimLevel::Moderate),
        other => {
            let text = format!(
                "level {other}: it must be TRIM_MEMORY_RUNNING_CRITICAL (0), LOW (1) or MODERATE (2)"
            );
            Err((ExceptionCode::IllegalArgument, text.as_str()).into())
        }
    }
}
