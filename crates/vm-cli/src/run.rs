// SPDX-License-Identifier: Apache-2.0
//! `vm run`.

use super::common::{DebugArgs, MachineArgs, ManagerArgs};
use clap::Args;
use std::path::PathBuf;

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
Options of this command overrule CONFIG.

At a terminal the guest's console is quiet; the steps of its life are shown. `-c` shows the console,
`vm console` attaches to it later, `vm logs --console` prints it. Where standard output is no
terminal, it gets console and log. Ctrl-C ends the VM.

Exit status: the payload's, if it reported one; else 0 if the guest powered off, 1 if the VM could
not be run or died in another way, and 128 + N if signal N ended this program.

Environment, read by the manager:
  VIRTMGR_VMM    the VMM: a path, or a name in PATH
  VIRTMGR_ACCEL  kvm or tcg
  VIRTMGR_LOG    error, warn (default here), info, debug: what the manager tells on standard error
  VIRTMGR_ROOT   a directory that stands for / in the manager's own paths

Examples:
  vm run guest.json
  vm run guest.json -m 512 --cpu-topology match_host
  vm run guest.json -c                          type into the console
  vm run guest.json > console.txt
  vm run guest.json --console console.txt --log log.txt"#
)]
pub struct RunArgs {
    /// The JSON file that describes the VM
    pub config: PathBuf,
    /// Name of the VM [default: the one in CONFIG, else CONFIG's file name without .json]
    #[arg(long)]
    pub name: Option<String>,
    /// Use the manager for early VMs, early_virtmgr
    #[arg(long)]
    pub early: bool,
    /// Which manager is started.
    #[command(flatten)]
    pub manager: ManagerArgs,
    /// The machine that the guest gets.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// What can be seen of the guest.
    #[command(flatten)]
    pub debug: DebugArgs,
}
