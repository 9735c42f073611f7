// SPDX-License-Identifier: Apache-2.0
//! Options that several commands have.

use crate::size::MemorySize;
use crate::values::{Releases, Topologies};
use avf_wire::Release;
use clap::{Args, ValueEnum};
use std::num::NonZeroU16;
use std::path::PathBuf;
use vm_config::CpuTopology;

/// Which manager to start.
#[derive(Debug, Clone, Default, Args)]
pub struct ManagerArgs {
    /// The manager's program [default: next to vm, in the APEX com.android.virt, in PATH]
    #[arg(long, value_name = "FILE")]
    pub manager: Option<PathBuf>,
    /// The Android release whose interfaces to speak, for a platform's own manager [default: the system's on Android, else the newest]
    #[arg(long, value_name = "RELEASE", value_parser = Releases)]
    pub wire: Option<Release>,
}

/// The guest's machine.
#[derive(Debug, Args)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// Memory in MiB, or with a suffix K, M, G or T, for example 2G
    #[arg(
        short,
        long = "mem",
        value_name = "SIZE",
        allow_negative_numbers = true
    )]
    pub memory: Option<MemorySize>,
    /// Virtual CPUs: one_cpu, match_host (as many as the host has) or cpu_count=N [default: one_cpu]
    #[arg(long, value_name = "TOPOLOGY", value_parser = Topologies, hide_possible_values = true)]
    pub cpu_topology: Option<CpuTopology>,
    /// Run as a protected VM (the host cannot read guest memory)
    #[arg(short, long)]
    pub protected: bool,
    /// Back guest memory with huge pages
    #[arg(long)]
    pub hugepages: bool,
    /// Give the guest a network interface (requires virtualizationservice)
    #[arg(short, long)]
    pub network_supported: bool,
    /// Run virtual CPUs at the host's highest frequency when they are busy
    #[arg(short, long)]
    pub boost_uclamp: bool,
    /// Assign the host device with this sysfs path (requires virtualizationservice); may be repeated
    #[arg(long, value_name = "SYSFS_PATH")]
    pub devices: Vec<String>,
}

/// Consoles and debugging.
#[derive(Debug, Args)]
#[command(next_help_heading = "Console and debugging")]
pub struct DebugArgs {
    /// Attach this terminal to the console; Ctrl-] detaches it and leaves the VM running
    #[arg(short = 'c', long, conflicts_with_all = ["console", "console_in"])]
    pub attach: bool,
    /// Write console output to FILE; - is standard output [default: standard output unless it is a terminal]
    #[arg(long, value_name = "FILE")]
    pub console: Option<PathBuf>,
    /// Read console input from FILE; - is standard input [default: input from `vm console`]
    #[arg(long, value_name = "FILE")]
    pub console_in: Option<PathBuf>,
    /// Write the guest's log to FILE; - is standard output [default: standard output unless it is a terminal]
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Wait for gdb on this TCP port before the guest starts
    #[arg(long, value_name = "PORT")]
    pub gdb: Option<NonZeroU16>,
    /// Enable kernel messages on the console before drivers are loaded
    #[arg(long)]
    pub enable_earlycon: bool,
    /// Write the guest's device tree, in its binary form, to FILE before the guest starts (requires crosvm)
    #[arg(long, value_name = "FILE")]
    pub dump_device_tree: Option<PathBuf>,
}

/// How much of a guest can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DebugLevel {
    /// Nothing: no console, no debugger
    None,
    /// Everything
    Full,
}
