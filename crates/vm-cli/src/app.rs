// SPDX-License-Identifier: Apache-2.0
//! `vm run-app` and `vm run-microdroid`.

use super::common::{DebugArgs, DebugLevel, MachineArgs, ManagerArgs};
use crate::size::Size;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `vm run-app`.
#[derive(Debug, Args)]
#[command(
    after_help = "`vm run-app --help` describes the files and gives examples.",
    after_long_help = r#"APK must exist. IDSIG is created, or updated if APK has changed. INSTANCE holds what the guest keeps between boots; it is created if it does not exist, and so is the file with the instance ID. Keep the two together.

On a terminal, `vm run-app` shows progress instead of the guest console; see `vm run --help`.

Exit status:
As for `vm run`.

Examples:
  vm run-app app.apk app.idsig instance.img --instance-id-file id \
      --payload-binary-name payload.so
  vm run-app app.apk app.idsig instance.img --instance-id-file id \
      --config-path assets/vm_config.json
  vm run-app app.apk app.idsig instance.img --instance-id-file id \
      --payload-binary-name payload.so --extra-apk more.apk \
      --extra-idsig more.idsig --storage storage.img --storage-size 64M

See also: vm-run(1), vm-run-microdroid(1), vm-create-idsig(1), virtmgr(8)"#
)]
#[command(group(clap::ArgGroup::new("payload").required(true).args(["config_path", "payload_binary_name"])))]
pub struct RunAppArgs {
    /// The signed APK
    pub apk: PathBuf,
    /// The idsig file of the APK; created or updated
    pub idsig: PathBuf,
    /// The instance image; created if it does not exist
    pub instance: PathBuf,
    /// The file with the VM's instance ID; created if it does not exist
    #[arg(long, value_name = "FILE")]
    pub instance_id_file: PathBuf,
    /// The payload's configuration: the path of a JSON file in the APK
    #[arg(long, value_name = "PATH")]
    pub config_path: Option<String>,
    /// The payload: the name of a library in the APK
    #[arg(long, value_name = "NAME")]
    pub payload_binary_name: Option<String>,
    /// An extra APK for the payload, with an --extra-idsig for each; may be repeated
    #[arg(long, value_name = "APK", conflicts_with = "config_path")]
    pub extra_apk: Vec<PathBuf>,
    /// The idsig file of the extra APK at the same position, created or updated; with --config-path, of the extra APKs that the configuration names
    #[arg(long, value_name = "IDSIG")]
    pub extra_idsig: Vec<PathBuf>,
    /// Name of the VM
    #[arg(long, default_value = "VmRunApp")]
    pub name: String,
    /// Options of all Microdroid VMs.
    #[command(flatten)]
    pub microdroid: MicrodroidArgs,
}

/// Arguments of `vm run-microdroid`.
#[derive(Debug, Args)]
#[command(
    after_help = r#"The payload is the APK EmptyPayloadApp of the APEX com.android.virt. The idsig file, the instance image and the instance ID are in the working directory. Without --work-dir they are removed at the end; with it, the next run continues with the same instance.

Exit status:
As for `vm run`.

Examples:
  vm run-microdroid
  vm run-microdroid -c                   attach this terminal to the console
  vm run-microdroid --work-dir my_vm --storage my_vm/storage.img

See also: vm-run(1), vm-run-app(1), virtmgr(8)"#
)]
pub struct RunMicrodroidArgs {
    /// The directory for the VM's files; created if it does not exist [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
    /// Name of the VM
    #[arg(long, default_value = "VmRunMicrodroid")]
    pub name: String,
    /// Options of all Microdroid VMs.
    #[command(flatten)]
    pub microdroid: MicrodroidArgs,
}

/// Options of all Microdroid VMs.
#[derive(Debug, Args)]
pub struct MicrodroidArgs {
    /// The image of the guest's encrypted storage; created if it does not exist
    #[arg(long, value_name = "FILE", help_heading = "Microdroid")]
    pub storage: Option<PathBuf>,
    /// Size of a new storage image, for example 64M
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "10M",
        help_heading = "Microdroid"
    )]
    pub storage_size: Size,
    /// The image of the guest's vendor partition
    #[arg(long, value_name = "FILE", help_heading = "Microdroid")]
    pub vendor: Option<PathBuf>,
    /// Version of a generic kernel image, for example android15-6.6 [default: Microdroid's own kernel]
    #[arg(long, value_name = "VERSION", help_heading = "Microdroid")]
    pub gki: Option<String>,
    /// How much of the guest can be seen
    #[arg(
        long = "debug",
        value_enum,
        default_value = "full",
        help_heading = "Microdroid"
    )]
    pub level: DebugLevel,
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
