// SPDX-License-Identifier: Apache-2.0
//! The commands for VMs that run: list, inspect, stop, suspend, resume, logs, console.

use super::common::ManagerArgs;
use clap::Args;

/// How VMs are listed.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vm list\n  vm list --json | jq '.[] | .name'\n  vm stop $(vm list -q)\n\nA user sees his own VMs, and of the early VMs of others that they run; the superuser sees all.\nMEMORY is what the VMM holds of the host's memory, PID is the VMM's process."
)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long, conflicts_with = "quiet")]
    pub json: bool,
    /// Print only CIDs
    #[arg(short, long)]
    pub quiet: bool,
    /// Which manager is asked.
    #[command(flatten)]
    pub manager: ManagerArgs,
}

/// Which VM is looked at.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vm inspect demo\n  vm inspect 2048 --json")]
pub struct InspectArgs {
    /// The VM: its CID or name
    pub vm: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Which manager is asked.
    #[command(flatten)]
    pub manager: ManagerArgs,
}

/// Which VMs are ended.
#[derive(Debug, Args)]
#[command(
    override_usage = "vm stop [OPTIONS] <VM>...\n       vm stop [OPTIONS] --all",
    after_help = "Examples:\n  vm stop demo\n  vm stop 2048 2049\n  vm stop --all\n\nThe guest is not asked: it is as if the power went. Each CID is printed when all of its VM is gone."
)]
pub struct StopArgs {
    /// The VMs: their CIDs or names
    #[arg(value_name = "VM", required_unless_present = "all")]
    pub vms: Vec<String>,
    /// All VMs of this user, or, for root, of all users
    #[arg(short, long, conflicts_with = "vms")]
    pub all: bool,
    /// Which manager is asked.
    #[command(flatten)]
    pub manager: ManagerArgs,
}

/// Which VMs are suspended or resumed.
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// The VMs: their CIDs or names
    #[arg(value_name = "VM", required = true)]
    pub vms: Vec<String>,
    /// Which manager is asked.
    #[command(flatten)]
    pub manager: ManagerArgs,
}

/// What is printed of a VM.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vm logs demo\n  vm logs -f --console demo\n  vm logs -n 20 --console 2048\n\nThe end of what was written is kept as long as the VM lives: at least the last 256 KiB."
)]
pub struct LogsArgs {
    /// The VM: its CID or name
    pub vm: String,
    /// Go on printing until the VM is gone
    #[arg(short, long)]
    pub follow: bool,
    /// The console in place of the log
    #[arg(short, long)]
    pub console: bool,
    /// Begin with the last N lines
    #[arg(short = 'n', long = "tail", value_name = "N")]
    pub lines: Option<usize>,
    /// Which manager is asked.
    #[command(flatten)]
    pub manager: ManagerArgs,
}

/// To which console this terminal is attached.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vm console\n  vm console demo\n\nCtrl-] leaves the console; the VM runs on. All other keys go to the guest, Ctrl-C too."
)]
pub struct ConsoleArgs {
    /// The VM: its CID or name [default: the only one that has a console]
    pub vm: Option<String>,
    /// Which manager is asked.
    #[command(flatten)]
    pub manager: ManagerArgs,
}
