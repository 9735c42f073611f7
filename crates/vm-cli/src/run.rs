// SPDX-License-Identifier: Apache-2.0
//! `vm run`.

use super::common::{DebugArgs, MachineArgs, ManagerArgs};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `vm run`.
#[derive(Debug, Args)]
#[command(
    after_help = "`vm run --help` describes CONFIG and gives examples.",
    after_long_help = r#"CONFIG is a JSON file. Paths in it are relative to its directory:

  {
      "kernel": "vmlinuz",
      "initrd": "initrd.img",
      "params": "console=ttyS0 panic=-1",
      "memory_mib": 256,
      "disks": [{ "image": "data.img", "writable": true }],
      "platform_version": "~1.0"
  }

Further keys are name, bootloader (instead of kernel), protected, cpu_topology, devices, console_input_device and usb_config; a disk may have "partitions" instead of "image". vm-config.json(5) describes them all. Options of this command override CONFIG.

On a terminal, `vm run` shows progress instead of the guest console: `-c` attaches the terminal to the console, `vm console` attaches one later, and `vm logs --console` prints the output. If standard output is not a terminal, console and log are written to it.

The VM ends with this command: Ctrl-C ends it, and so does closing the pipe that its output goes to, as in `vm run guest.json | head`.

Exit status:
The payload's exit code if it reported one; otherwise 0 if the guest powered off, 1 if the VM could not be run or died in another way or its output could not be written, and 128 + N if signal N ended this command (141 if nobody reads its output any more).

Environment:
These variables are passed to the manager.

  VIRTMGR_VMM    the VMM: a path, or a name in PATH
  VIRTMGR_ACCEL  kvm or tcg
  VIRTMGR_LOG    log level on standard error: error, warn (default for this
                 command), info, debug or trace
  VIRTMGR_ROOT   a directory used instead of / for the manager's own paths

Examples:
  vm run guest.json
  vm run guest.json -m 2G --cpu-topology cpu_count=4
  vm run guest.json -c                   attach this terminal to the console
  vm run guest.json > console.txt
  vm run guest.json --console console.txt --log log.txt

See also: vm-config.json(5), vm-list(1), vm-console(1), vm-logs(1), vm-stop(1), virtmgr(8)"#
)]
pub struct RunArgs {
    /// The JSON file that describes the VM
    pub config: PathBuf,
    /// Name of the VM [default: the name in CONFIG, or CONFIG's file name without .json]
    #[arg(long)]
    pub name: Option<String>,
    /// Use early_virtmgr, the manager for early VMs
    #[arg(long)]
    pub early: bool,
    /// Which manager to start.
    #[command(flatten)]
    pub manager: ManagerArgs,
    /// The guest's machine.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Consoles and debugging.
    #[command(flatten)]
    pub debug: DebugArgs,
}
