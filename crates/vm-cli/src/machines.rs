// SPDX-License-Identifier: Apache-2.0
//! The commands for running VMs: list, inspect, stop, suspend, resume, logs, console.

use super::common::ManagerArgs;
use clap::Args;

/// Arguments of `vm list`.
#[derive(Debug, Args)]
#[command(
    after_help = "You see your own VMs, and that early VMs of other users exist. Root sees the VMs of all users.\n\nSTATE is created, starting, started (the payload runs), ready (it serves), finished (it has ended), suspended (by `vm suspend`) or paused (by the VMM, after a disk error). MEMORY is the host memory that the VMM uses, PID is the VMM's process.\n\nJSON fields:\ncid, name, state, uptime (seconds), memory (bytes), pid, uid, user, early, console, directory. Unknown values are null. Later versions may add fields.\n\nExamples:\n  vm list\n  vm list --json | jq '.[] | .name'\n  vm stop $(vm list -q)\n\nSee also: vm-inspect(1), vm-stop(1), vm-logs(1)"
)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long, conflicts_with = "quiet")]
    pub json: bool,
    /// Print only CIDs
    #[arg(short, long)]
    pub quiet: bool,
    /// Which manager to ask for VMs of other users.
    #[command(flatten)]
    pub manager: ManagerArgs,
}

/// Arguments of `vm inspect`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vm inspect demo\n  vm inspect 2048 --json\n\nSee also: vm-list(1), vm-logs(1)"
)]
pub struct InspectArgs {
    /// CID or name of the VM
    pub vm: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Which manager to ask for VMs of other users.
    #[command(flatten)]
    pub manager: ManagerArgs,
}

/// Arguments of `vm stop`.
#[derive(Debug, Args)]
#[command(
    override_usage = "vm stop [OPTIONS] <VM>...\n       vm stop [OPTIONS] --all",
    after_help = "This is a hard power-off; the guest is not notified. Each CID is printed once everything of the VM is gone.\n\nExit status:\n0 if all VMs were stopped, 1 if one was not found or could not be stopped.\n\nExamples:\n  vm stop demo\n  vm stop 2048 2049\n  vm stop --all\n\nSee also: vm-list(1), vm-suspend(1)"
)]
pub struct StopArgs {
    /// CIDs or names of the VMs
    #[arg(value_name = "VM", required_unless_present = "all")]
    pub vms: Vec<String>,
    /// All of your VMs; as root, the VMs of all users
    #[arg(short, long, conflicts_with = "vms")]
    pub all: bool,
    /// Which manager to ask for VMs of other users.
    #[command(flatten)]
    pub manager: ManagerArgs,
}

/// Arguments of `vm suspend` and `vm resume`.
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// CIDs or names of the VMs
    #[arg(value_name = "VM", required = true)]
    pub vms: Vec<String>,
    /// Which manager to ask for VMs of other users.
    #[command(flatten)]
    pub manager: ManagerArgs,
}

/// Arguments of `vm logs`.
#[derive(Debug, Args)]
#[command(
    after_help = "At least the last 256 KiB of output are kept until the VM ends. A terminal shows control characters in caret notation; files and pipes get the guest's own bytes.\n\nExamples:\n  vm logs demo\n  vm logs -f --console demo\n  vm logs -n 20 --console 2048\n\nSee also: vm-console(1), vm-list(1)"
)]
pub struct LogsArgs {
    /// CID or name of the VM
    pub vm: String,
    /// Continue to print output until the VM ends
    #[arg(short, long)]
    pub follow: bool,
    /// Print the console output instead of the log
    #[arg(short, long)]
    pub console: bool,
    /// Start with the last N lines
    #[arg(short = 'n', long = "tail", value_name = "N")]
    pub lines: Option<usize>,
    /// Which manager to ask for VMs of other users.
    #[command(flatten)]
    pub manager: ManagerArgs,
}

/// Arguments of `vm console`.
#[derive(Debug, Args)]
#[command(
    after_help = "Ctrl-] detaches from the console and leaves the VM running. All other keys go to the guest, including Ctrl-C. The guest controls the terminal; `vm logs --console` prints its output safely.\n\nExamples:\n  vm console\n  vm console demo\n\nSee also: vm-logs(1), vm-run(1)"
)]
pub struct ConsoleArgs {
    /// CID or name of the VM [default: the only one that has a console]
    pub vm: Option<String>,
    /// Which manager to ask for VMs of other users.
    #[command(flatten)]
    pub manager: ManagerArgs,
}
