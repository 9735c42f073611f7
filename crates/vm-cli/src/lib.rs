// SPDX-License-Identifier: Apache-2.0
//! The command line of the tool `vm`. Its manual pages and shell completions are made of [`Cli`].
//!
//! Paragraphs of help texts are single lines, since clap wraps them to the terminal. Text below the
//! options has headings that end in a colon, which become sections of the manual page.
#![forbid(unsafe_code)]

pub mod app;
pub mod common;
pub mod images;
pub mod machines;
pub mod run;
pub mod size;
mod values;

use app::{RunAppArgs, RunMicrodroidArgs};
use clap::{Args, Parser, Subcommand};
use images::{CreateIdsigArgs, CreatePartitionArgs};
use machines::{ConsoleArgs, InspectArgs, ListArgs, LogsArgs, PauseArgs, StopArgs};
use run::RunArgs;
use std::path::PathBuf;

/// Run and manage virtual machines
#[derive(Debug, Parser)]
#[command(
    name = "vm",
    version,
    after_help = "Examples:\n  vm info              show which VM features this host supports\n  vm run --help        describe and run a VM\n  vm list              list running VMs\n\nExit status:\n0 on success, 1 on failure, 2 if the arguments are wrong. `vm run`, `vm run-app` and `vm run-microdroid` exit with the payload's exit code if it reported one.\n\nSee also: vm-run(1), vm-list(1), vm-info(1), vm-config.json(5), virtmgr(8)"
)]
pub struct Cli {
    /// Print more detail, including which VMM was chosen and why
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// The command.
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
    /// Run a Microdroid VM with an empty payload
    RunMicrodroid(Box<RunMicrodroidArgs>),
    /// List running VMs
    #[command(visible_alias = "ps")]
    List(ListArgs),
    /// Show details of a VM
    Inspect(InspectArgs),
    /// Stop VMs
    Stop(StopArgs),
    /// Pause VMs
    #[command(
        after_help = "The guest's CPUs stop, and its memory is kept. `vm list` shows the state as \"suspended\".\n\nExamples:\n  vm suspend demo && vm resume demo\n\nSee also: vm-resume(1), vm-stop(1)"
    )]
    Suspend(PauseArgs),
    /// Resume paused VMs
    #[command(
        after_help = "A VM that its VMM paused after a disk error resumes as well.\n\nExamples:\n  vm resume demo\n\nSee also: vm-suspend(1)"
    )]
    Resume(PauseArgs),
    /// Print the log or console output of a VM
    Logs(LogsArgs),
    /// Attach this terminal to the console of a VM
    Console(ConsoleArgs),
    /// Show which VM features this host supports
    Info(InfoArgs),
    /// Create an empty partition image
    CreatePartition(CreatePartitionArgs),
    /// Create or update the idsig file of an APK
    CreateIdsig(CreateIdsigArgs),
    /// Check whether a feature is enabled
    CheckFeatureEnabled(FeatureArgs),
    /// Work with early VMs, which start before /data is mounted
    Early {
        /// The command.
        #[command(subcommand)]
        command: EarlyCommand,
    },
}

/// Arguments of `vm info`.
#[derive(Debug, Args)]
#[command(
    after_help = "Each \"no\" comes with what to do about it. The last line is the host's debug policy, as managers since Android 16 tell it.\n\nExit status:\nThe exit status is always 0: a missing feature is not an error.\n\nExamples:\n  vm info\n  vm info --json | jq .kvm\n\nSee also: vm-check-feature-enabled(1), avf-permissions.json(5), virtmgr(8)"
)]
pub struct InfoArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Which manager to ask.
    #[command(flatten)]
    pub manager: common::ManagerArgs,
}

/// Arguments of `vm check-feature-enabled`.
#[derive(Debug, Args)]
#[command(
    after_help = "The features are ADVANCE_MULTITENANCY, DICE_CHANGES, LLPVM_CHANGES, MULTI_TENANT, NETWORK, REMOTE_ATTESTATION and VENDOR_MODULES.\n\nExit status:\n0 if the feature is enabled, 1 if it is not, 2 if the manager cannot be asked.\n\nExamples:\n  vm check-feature-enabled VENDOR_MODULES\n  vm check-feature-enabled com.android.kvm.NETWORK && vm run guest.json -n\n\nSee also: vm-info(1)"
)]
pub struct FeatureArgs {
    /// The feature, with or without the prefix com.android.kvm.
    pub feature: String,
    /// Ask early_virtmgr, the manager for early VMs
    #[arg(long)]
    pub early: bool,
    /// Which manager to ask.
    #[command(flatten)]
    pub manager: common::ManagerArgs,
}

/// Commands for early VMs.
#[derive(Debug, Subcommand)]
pub enum EarlyCommand {
    /// Check the early VM lists of a system image
    ///
    /// Reads every /PARTITION/etc/avf/early_vms*.xml and prints each fault as FILE:LINE: MESSAGE. Run it when you build a system image.
    #[command(
        after_help = "Exit status:\n0 if there are no errors (warnings do not count), 1 if there is one.\n\nExamples:\n  vm early check --root out/target/product/device\n\nSee also: early_vms.xml(5), early_virtmgr(8)"
    )]
    Check(CheckArgs),
}

/// Arguments of `vm early check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The directory that contains the partitions: system, product, vendor ...
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

    /// Calls `check` with each command that has no subcommands, its full name and its text below the
    /// options.
    fn leaves(command: &clap::Command, path: &str, check: &mut dyn FnMut(&clap::Command, &str)) {
        let path = format!("{path} {}", command.get_name());
        assert!(command.get_about().is_some(), "{path}");
        if command.has_subcommands() {
            for sub in command.get_subcommands() {
                leaves(sub, &path, check);
            }
        } else {
            check(command, path.trim_start());
        }
    }

    fn below(command: &clap::Command) -> String {
        command
            .get_after_long_help()
            .or(command.get_after_help())
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    #[test]
    fn every_command_explains_itself_with_an_example() {
        leaves(&Cli::command(), "", &mut |command, path| {
            let text = below(command);
            assert!(
                text.contains("Examples:\n") && text.contains(path),
                "{path}: {text:?}"
            );
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some(), "{path} {}", arg.get_id());
            }
        });
    }

    #[test]
    fn no_help_text_is_wrapped_by_hand() {
        // Two lines of prose in a row would be wrapped again by a narrow terminal.
        leaves(&Cli::command(), "", &mut |command, path| {
            let text = below(command);
            let is_prose =
                |line: &str| !line.is_empty() && !line.starts_with(' ') && !line.ends_with(':');
            let lines: Vec<&str> = text.lines().collect();
            for pair in lines.windows(2) {
                assert!(
                    !(is_prose(pair[0]) && is_prose(pair[1])),
                    "{path}: {pair:?}"
                );
            }
            // And lines that are not wrapped fit.
            for line in lines.iter().filter(|line| line.starts_with(' ')) {
                assert!(line.len() <= 80, "{path}: {line}");
            }
        });
    }
}
