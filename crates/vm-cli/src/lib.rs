// SPDX-License-Identifier: Apache-2.0
//! The command line of the tool `vm`. Its manual pages and shell completions are made of [`Cli`].
#![forbid(unsafe_code)]

pub mod app;
pub mod common;
pub mod images;
pub mod machines;
pub mod run;
pub mod size;

use app::{RunAppArgs, RunMicrodroidArgs};
use clap::{Args, Parser, Subcommand};
use images::{CreateIdsigArgs, CreatePartitionArgs};
use machines::{ConsoleArgs, InspectArgs, ListArgs, LogsArgs, PauseArgs, StopArgs};
use run::RunArgs;
use std::path::PathBuf;

/// Runs virtual machines and looks after them.
#[derive(Debug, Parser)]
#[command(
    name = "vm",
    version,
    after_help = "Start here:\n  vm info              what this host can do\n  vm run --help        how a VM is described and run\n  vm list              the VMs that run"
)]
pub struct Cli {
    /// Tell more: which VMM is taken and why, and what the manager does
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a VM until it ends
    Run(Box<RunArgs>),
    /// Run the payload of an APK in a Microdroid VM
    RunApp(Box<RunAppArgs>),
    /// Run a Microdroid VM with a payload that does nothing
    RunMicrodroid(Box<RunMicrodroidArgs>),
    /// List the VMs that run
    #[command(visible_alias = "ps")]
    List(ListArgs),
    /// Show all that is known about a VM
    Inspect(InspectArgs),
    /// End VMs
    Stop(StopArgs),
    /// Stop the CPUs of VMs until they are resumed
    #[command(after_help = "Example:\n  vm suspend demo && vm resume demo\n\nSee also: vm resume")]
    Suspend(PauseArgs),
    /// Let the CPUs of suspended VMs run on
    #[command(after_help = "Example:\n  vm resume demo\n\nSee also: vm suspend")]
    Resume(PauseArgs),
    /// Print what a VM's guest has written to its log or console
    Logs(LogsArgs),
    /// Attach this terminal to a VM's console
    Console(ConsoleArgs),
    /// Show what this host can do for VMs, and why not
    Info(InfoArgs),
    /// Make an empty partition image
    CreatePartition(CreatePartitionArgs),
    /// Make or update the idsig file of an APK
    CreateIdsig(CreateIdsigArgs),
    /// Ask the manager whether a feature is enabled
    CheckFeatureEnabled(FeatureArgs),
    /// Work with early VMs, those that start before /data is mounted
    Early {
        /// What to do with them.
        #[command(subcommand)]
        command: EarlyCommand,
    },
}

/// How the host's abilities are shown.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vm info\n  vm info --json | jq .kvm\n\nIt always succeeds: what is not there may not be needed. Each \"no\" says what to do."
)]
pub struct InfoArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Which manager to ask.
    #[command(flatten)]
    pub manager: common::ManagerArgs,
}

/// Which feature is asked for.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vm check-feature-enabled VENDOR_MODULES\n  vm check-feature-enabled com.android.kvm.NETWORK && vm run guest.json -n\n\nExit status: 0 if it is enabled, 1 if not, 2 if the manager could not be asked.\nKnown: DICE_CHANGES, LLPVM_CHANGES, MULTI_TENANT, NETWORK, REMOTE_ATTESTATION, VENDOR_MODULES."
)]
pub struct FeatureArgs {
    /// The feature; com.android.kvm. before it may be left out
    pub feature: String,
    /// Ask the manager for early VMs, early_virtmgr
    #[arg(long)]
    pub early: bool,
    /// Which manager to ask.
    #[command(flatten)]
    pub manager: common::ManagerArgs,
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
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself_with_an_example() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path}");
            if command.has_subcommands() {
                for sub in command.get_subcommands() {
                    check(sub, &path);
                }
                return;
            }
            let text = command
                .get_after_long_help()
                .or(command.get_after_help())
                .map(ToString::to_string)
                .unwrap_or_default();
            let call = path.trim_start();
            assert!(
                text.contains("Example") && text.contains(call),
                "{path}: {text:?}"
            );
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some(), "{path} {}", arg.get_id());
            }
        }
        check(&Cli::command(), "");
    }
}
