// SPDX-License-Identifier: Apache-2.0
//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Runs virtual machines and looks at what they need.
#[derive(Debug, Parser)]
#[command(
    name = "vm",
    version,
    after_help = "Start here:\n  vm info              what this host can do\n  vm run --help        how a VM is described and run"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a VM until it ends
    Run(Box<RunArgs>),
    /// Show what this host can do for VMs, and why not
    Info(InfoArgs),
    /// Work with early VMs, those that start before /data is mounted
    Early {
        /// What to do with them.
        #[command(subcommand)]
        command: EarlyCommand,
    },
}

/// How a VM is run.
#[derive(Debug, Args)]
#[command(
    after_help = "See `vm run --help` for a description of CONFIG, and examples.",
    after_long_help = r#"CONFIG is a JSON file. Paths in it are relative to its directory:

  {
      "kernel": "vmlinuz",
      "initrd": "initrd.img",
      "params": "console=ttyS0 panic=-1",
      "memory_mib": 256,
      "disks": [{ "partitions": [{ "label": "data", "path": "data.img", "writable": true }] }],
      "platform_version": "~1.0"
  }

Further keys: name, bootloader (in place of kernel), protected, cpu_topology, devices,
console_input_device, usb_config; a disk may have "image" in place of "partitions".

Exit status: the payload's, if it reported one; else 0 if the guest powered off, and 1 if the VM
could not be run or died in another way.

Environment, read by the manager:
  VIRTMGR_VMM    the VMM: a path, or a name in PATH
  VIRTMGR_ACCEL  kvm or tcg
  VIRTMGR_LOG    error, warn (default here), info, debug: what the manager tells on standard error
  VIRTMGR_ROOT   a directory that stands for / in the manager's own paths

Examples:
  vm run guest.json
  vm run guest.json -m 512 --cpu-topology match_host
  vm run guest.json --console console.txt --log log.txt
  vm run guest.json --console-in /dev/stdin"#
)]
pub struct RunArgs {
    /// The JSON file that describes the VM
    pub config: PathBuf,
    /// Name of the VM [default: the one in CONFIG, else CONFIG's file name without .json]
    #[arg(long)]
    pub name: Option<String>,
    /// Memory in MiB, in place of CONFIG's
    #[arg(short, long = "mem", value_name = "MIB")]
    pub memory: Option<i64>,
    /// Virtual CPUs, in place of CONFIG's
    #[arg(long, value_enum)]
    pub cpu_topology: Option<Topology>,
    /// Keep the guest's memory from the host, as if CONFIG said so
    #[arg(short, long)]
    pub protected: bool,
    /// Write the console's output to FILE [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub console: Option<PathBuf>,
    /// Read the console's input from FILE; /dev/stdin is this terminal [default: no input]
    #[arg(long, value_name = "FILE")]
    pub console_in: Option<PathBuf>,
    /// Write the guest's log to FILE [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Use the manager for early VMs, early_virtmgr
    #[arg(long)]
    pub early: bool,
    /// The manager's program [default: beside this one, in the APEX com.android.virt, in PATH]
    #[arg(long, value_name = "FILE")]
    pub manager: Option<PathBuf>,
}

/// How many virtual CPUs a VM has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Topology {
    /// One.
    OneCpu,
    /// As many as the host has.
    MatchHost,
}

/// How the host's abilities are shown.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What can be done with early VMs.
#[derive(Debug, Subcommand)]
pub enum EarlyCommand {
    /// Check the early VM lists of a system
    ///
    /// Reads every /PARTITION/etc/avf/early_vms*.xml and prints each fault as FILE:LINE: MESSAGE.
    /// Ends with status 1 if there is one; run it when a system image is built.
    #[command(after_help = "Example:\n  vm early check --root out/target/product/device")]
    Check(CheckArgs),
}

/// What is checked.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The directory that holds the partitions: system, product, vendor ...
    #[arg(long, value_name = "DIR", env = "VIRTMGR_ROOT", default_value = "/")]
    pub root: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
