// SPDX-License-Identifier: Apache-2.0
//! `vm run-app` and `vm run-microdroid`.

use super::common::{DebugArgs, DebugLevel, MachineArgs, ManagerArgs};
use crate::size::Size;
use clap::Args;
use std::path::PathBuf;

/// How an APK's payload is run.
#[derive(Debug, Args)]
#[command(
    after_help = "See `vm run-app --help` for what the files are, and examples.",
    after_long_help = r#"APK must be there. IDSIG is made, or updated if APK has changed. INSTANCE is what the guest keeps
from boot to boot; it is made if it is not there, and so is the file with the instance id, which must
be kept together with it.

At a terminal the guest's console is quiet; see `vm run --help`, also for exit status and environment.

Examples:
  vm run-app app.apk app.idsig instance.img --instance-id-file id --payload-binary-name payload
  vm run-app app.apk app.idsig instance.img --instance-id-file id --config-path assets/vm_config.json
  vm run-app app.apk app.idsig instance.img --instance-id-file id --payload-binary-name payload \
      --extra-apk more.apk --extra-idsig more.idsig --storage storage.img --storage-size 64M"#
)]
#[command(group(clap::ArgGroup::new("payload").required(true).args(["config_path", "payload_binary_name"])))]
pub struct RunAppArgs {
    /// The signed APK
    pub apk: PathBuf,
    /// The APK's idsig file, which is made or updated
    pub idsig: PathBuf,
    /// The instance image, which is made if it is not there
    pub instance: PathBuf,
    /// The file with the VM's instance id, which is made if it is not there
    #[arg(long, value_name = "FILE")]
    pub instance_id_file: PathBuf,
    /// The payload's configuration: the path of a JSON file in the APK
    #[arg(long, value_name = "PATH")]
    pub config_path: Option<String>,
    /// The payload: the name of a file in the APK's directory of libraries
    #[arg(long, value_name = "NAME")]
    pub payload_binary_name: Option<String>,
    /// A further APK for the payload; may be repeated, each with an --extra-idsig
    #[arg(long, value_name = "APK", conflicts_with = "config_path")]
    pub extra_apk: Vec<PathBuf>,
    /// The idsig file of the further APK at the same place, which is made or updated; with
    /// --config-path, of the further APKs that the configuration names
    #[arg(long, value_name = "IDSIG")]
    pub extra_idsig: Vec<PathBuf>,
    /// Name of the VM
    #[arg(long, default_value = "VmRunApp")]
    pub name: String,
    /// What all Microdroid VMs have.
    #[command(flatten)]
    pub microdroid: MicrodroidArgs,
}

/// How a Microdroid without a purpose is run.
#[derive(Debug, Args)]
#[command(
    after_help = r#"The payload is the APK EmptyPayloadApp of the APEX com.android.virt. Idsig, instance image and
instance id are in the working directory; with --work-dir they stay, and the next run is the same VM.

Examples:
  vm run-microdroid
  vm run-microdroid -c                          type into its console
  vm run-microdroid --work-dir my_vm --storage my_vm/storage.img"#
)]
pub struct RunMicrodroidArgs {
    /// The directory for the VM's files, which is made if it is not there [default: one that is removed at the end]
    #[arg(long, value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
    /// Name of the VM
    #[arg(long, default_value = "VmRunMicrodroid")]
    pub name: String,
    /// What all Microdroid VMs have.
    #[command(flatten)]
    pub microdroid: MicrodroidArgs,
}

/// What all Microdroid VMs have.
#[derive(Debug, Args)]
pub struct MicrodroidArgs {
    /// The image of the guest's encrypted storage, which is made if it is not there
    #[arg(long, value_name = "FILE", help_heading = "Microdroid")]
    pub storage: Option<PathBuf>,
    /// The size of a storage image that is made, such as 64M
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
    /// The version of the guest's generic kernel image, such as android15-6.6 [default: Microdroid's own kernel]
    #[arg(long, value_name = "VERSION", help_heading = "Microdroid")]
    pub gki: Option<String>,
    /// How much the guest reveals
    #[arg(
        long = "debug",
        value_enum,
        default_value = "full",
        help_heading = "Microdroid"
    )]
    pub level: DebugLevel,
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
