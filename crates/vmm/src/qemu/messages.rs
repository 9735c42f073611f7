// SPDX-License-Identifier: Apache-2.0
//! The messages of QEMU's machine protocol (QMP) that are used here: six commands, their answers,
//! and the events that tell how the guest does. The protocol ignores what a reader does not know.

use crate::death::Ending;
use crate::{DiskFault, Event};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A command.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "execute", content = "arguments")]
pub(super) enum Command {
    /// Ends the greeting.
    #[serde(rename = "qmp_capabilities")]
    Capabilities,
    /// Asks for the threads of the virtual CPUs.
    #[serde(rename = "query-cpus-fast")]
    QueryCpus,
    /// Stops the virtual CPUs.
    #[serde(rename = "stop")]
    Stop,
    /// Lets them run again.
    #[serde(rename = "cont")]
    Cont,
    /// Asks how much memory the balloon leaves to the guest.
    #[serde(rename = "query-balloon")]
    QueryBalloon,
    /// Leaves this much memory to the guest.
    #[serde(rename = "balloon")]
    Balloon {
        /// Bytes.
        value: u64,
    },
}

impl Command {
    /// The command's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Capabilities => "qmp_capabilities",
            Self::QueryCpus => "query-cpus-fast",
            Self::Stop => "stop",
            Self::Cont => "cont",
            Self::QueryBalloon => "query-balloon",
            Self::Balloon { .. } => "balloon",
        }
    }
}

/// A command with the number that its answer repeats.
#[derive(Debug, Serialize)]
pub(super) struct Request {
    #[serde(flatten)]
    pub(super) command: Command,
    pub(super) id: u64,
}

/// One line from QEMU: a greeting, an event, or an answer.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    #[serde(rename = "QMP")]
    pub(super) greeting: Option<Value>,
    pub(super) event: Option<String>,
    #[serde(default)]
    pub(super) data: Value,
    #[serde(rename = "return")]
    pub(super) answer: Option<Value>,
    pub(super) error: Option<Refusal>,
    pub(super) id: Option<u64>,
}

/// A refused command.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    pub(super) desc: String,
}

/// What `query-cpus-fast` says of each virtual CPU.
#[derive(Debug, Deserialize)]
pub(super) struct CpuThread {
    #[serde(rename = "thread-id")]
    pub(super) id: i32,
}

/// What `query-balloon` says.
#[derive(Debug, Deserialize)]
pub(super) struct BalloonSize {
    /// Bytes left to the guest.
    pub(super) actual: u64,
}

#[derive(Deserialize)]
struct Shutdown {
    reason: String,
}

#[derive(Deserialize)]
struct BlockIoError {
    #[serde(rename = "node-name", default)]
    node: String,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    nospace: bool,
    #[serde(default)]
    reason: String,
}

/// What an event means; `None` for events that mean nothing here.
pub(super) fn event(name: &str, data: Value) -> Option<Event> {
    match name {
        "GUEST_PANICKED" => Some(Event::Ending(Ending::Crash)),
        "WATCHDOG" => Some(Event::Ending(Ending::Watchdog)),
        "SHUTDOWN" => {
            let shutdown: Shutdown = serde_json::from_value(data).ok()?;
            Some(Event::Ending(match shutdown.reason.as_str() {
                "guest-reset" | "subsystem-reset" => Ending::Reboot,
                "guest-panic" => Ending::Crash,
                "guest-shutdown" => Ending::Shutdown,
                _ => Ending::Host,
            }))
        }
        "STOP" => Some(Event::Paused),
        "RESUME" => Some(Event::Resumed),
        "BLOCK_IO_ERROR" => {
            let error: BlockIoError = serde_json::from_value(data).ok()?;
            // Other errors are reported to the guest, which says what it makes of them.
            (error.action == "stop").then(|| {
                Event::DiskFault(DiskFault {
                    disk: super::blocks::index_of(&error.node),
                    is_write: error.operation == "write",
                    is_full: error.nospace,
                    reason: error.reason,
                })
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_are_as_the_protocol_has_them() {
        let text = |command| serde_json::to_value(Request { command, id: 7 }).unwrap();
        assert_eq!(text(Command::Stop), json!({"execute": "stop", "id": 7}));
        assert_eq!(
            text(Command::Balloon { value: 4096 }),
            json!({"execute": "balloon", "arguments": {"value": 4096}, "id": 7})
        );
        for command in [
            Command::Capabilities,
            Command::QueryCpus,
            Command::Stop,
            Command::Cont,
            Command::QueryBalloon,
            Command::Balloon { value: 1 },
        ] {
            assert_eq!(text(command)["execute"], command.name());
        }
    }

    #[test]
    fn a_full_disk_is_named() {
        let data = json!({
            "device": "", "node-name": "disk3", "operation": "write", "action": "stop",
            "nospace": true, "reason": "No space left on device"
        });
        let fault = DiskFault {
            disk: Some(3),
            is_write: true,
            is_full: true,
            reason: "No space left on device".into(),
        };
        assert_eq!(
            event("BLOCK_IO_ERROR", data.clone()),
            Some(Event::DiskFault(fault))
        );
        let mut reported = data;
        reported["action"] = json!("report");
        assert_eq!(event("BLOCK_IO_ERROR", reported), None);
    }

    #[test]
    fn the_end_has_its_reason() {
        let end = |reason: &str| event("SHUTDOWN", json!({"guest": true, "reason": reason}));
        for (reason, ending) in [
            ("guest-shutdown", Ending::Shutdown),
            ("guest-reset", Ending::Reboot),
            ("subsystem-reset", Ending::Reboot),
            ("guest-panic", Ending::Crash),
            ("host-signal", Ending::Host),
            ("host-qmp-quit", Ending::Host),
        ] {
            assert_eq!(end(reason), Some(Event::Ending(ending)), "{reason}");
        }
        assert_eq!(event("SHUTDOWN", json!({})), None);
        assert_eq!(event("NIC_RX_FILTER_CHANGED", json!({})), None);
    }
}
