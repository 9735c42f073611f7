// SPDX-License-Identifier: Apache-2.0
//! Options that several commands have.

use clap::{Args, ValueEnum};
use std::num::NonZeroU16;
use std::path::PathBuf;

/// Which manager is started.
#[derive(Debug, Clone, Default, Args)]
pub struct ManagerArgs {
    /// The manager's program [default: beside this one, in the APEX com.android.virt, in PATH]
    #[arg(long, value_name = "FILE")]
    pub manager: Option<PathBuf>,
}

/// The machine that a guest gets.
#[derive(Debug, Args)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// Memory in MiB
    #[arg(short, long = "mem", value_name = "MIB", allow_negative_numbers = true)]
    pub memory: Option<i64>,
    /// Virtual CPUs [default: one_cpu]
    #[arg(long, value_enum)]
    pub cpu_topology: Option<Topology>,
    /// Keep the guest's memory from the host
    #[arg(short, long)]
    pub protected: bool,
    /// Back the guest's memory with huge pages
    #[arg(long)]
    pub hugepages: bool,
    /// Give the guest a network
    #[arg(short, long)]
    pub network_supported: bool,
    /// Let the virtual CPUs run at the host's highest speed when they have work
    #[arg(short, long)]
    pub boost_uclamp: bool,
    /// Assign the host's device with this sysfs path; may be repeated
    #[arg(long, value_name = "SYSFS_PATH")]
    pub devices: Vec<String>,
}

/// What can be seen of a guest and said to it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Console and debugging")]
pub struct DebugArgs {
    /// Show the console on this terminal and type into it; Ctrl-] leaves it, and the VM runs on
    #[arg(short = 'c', long, conflicts_with_all = ["console", "console_in"])]
    pub attach: bool,
    /// Write the console's output to FILE, - is standard output [default: standard output if that is not a terminal]
    #[arg(long, value_name = "FILE")]
    pub console: Option<PathBuf>,
    /// Read the console's input from FILE, - is standard input [default: what `vm console` types]
    #[arg(long, value_name = "FILE")]
    pub console_in: Option<PathBuf>,
    /// Write the guest's log to FILE, - is standard output [default: standard output if that is not a terminal]
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Wait for a debugger (gdb) on this TCP port before the guest starts
    #[arg(long, value_name = "PORT")]
    pub gdb: Option<NonZeroU16>,
    /// Let the guest's kernel speak on the console before it has its drivers
    #[arg(long)]
    pub enable_earlycon: bool,
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

/// How much a guest reveals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DebugLevel {
    /// Nothing: no console, no debugger
    None,
    /// All
    Full,
}
