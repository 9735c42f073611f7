// SPDX-License-Identifier: Apache-2.0
//! `vm run-app` and `vm run-microdroid`: payloads of APKs in Microdroid VMs.

use crate::cli::app::{MicrodroidArgs, RunAppArgs, RunMicrodroidArgs};
use crate::cli::common::DebugLevel as Level;
use crate::images::{NewFiles, open, partition, update_idsig};
use crate::machines;
use crate::run::life::{self, Request};
use crate::size::{MemorySize, Size};
use crate::{earlycon, manager};
use anyhow::{Context, Result, anyhow, bail, ensure};
use microdroid::PayloadConfig;
use microdroid::archive::extract;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vmclient::Manager;
use vmclient::avf_aidl::service::AssignableDeviceSelector::ByPath;
use vmclient::avf_aidl::service::app_config::{CustomConfig, DebugLevel, Payload};
use vmclient::avf_aidl::service::{
    PartitionType, VirtualMachineAppConfig, VirtualMachineConfig, VirtualMachinePayloadConfig,
};
use vmclient::rsbinder::ParcelFileDescriptor;

/// The size of an instance image that is made.
const INSTANCE_SIZE: Size = Size::bytes(10 << 20);
/// Bytes of an instance id.
const ID_LENGTH: usize = 64;
/// How the instance ids of early VMs begin that their vendor made.
const EARLY_ID: [u8; 4] = [0xff; 4];
/// The most that a payload configuration may have.
const CONFIG_LIMIT: u64 = 1 << 20;
/// The operating system, and what goes before the version of a generic kernel image.
const OS: &str = "microdroid";
const GKI: &str = "microdroid_gki-";
/// Where the platform has the APK whose payload does nothing, and that payload.
const APPS: &str = "apex/com.android.virt/app";
const EMPTY_APP: &str = "EmptyPayloadApp";
const EMPTY_PAYLOAD: &str = "MicrodroidEmptyPayloadJniLib.so";

/// The files of an app's VM.
struct Files<'a> {
    apk: &'a Path,
    idsig: &'a Path,
    instance: &'a Path,
    instance_id: &'a Path,
    /// Further APKs, each with its idsig.
    extras: Vec<(PathBuf, &'a Path)>,
}

/// Runs the payload of an APK.
pub(crate) fn run_app(args: &RunAppArgs, verbose: bool) -> Result<ExitCode> {
    let (payload, extra_apks) = payload(args)?;
    ensure!(
        extra_apks.len() == args.extra_idsig.len(),
        "there are {} further APKs ({}), and --extra-idsig is given {} times: give one for each, in the same order",
        extra_apks.len(),
        if args.config_path.is_some() {
            "in the payload's configuration"
        } else {
            "--extra-apk"
        },
        args.extra_idsig.len()
    );
    let files = Files {
        apk: &args.apk,
        idsig: &args.idsig,
        instance: &args.instance,
        instance_id: &args.instance_id_file,
        extras: extra_apks
            .into_iter()
            .zip(args.extra_idsig.iter().map(PathBuf::as_path))
            .collect(),
    };
    run(&args.microdroid, &args.name, &files, payload, verbose)
}

/// Runs a Microdroid whose payload does nothing.
pub(crate) fn run_microdroid(args: &RunMicrodroidArgs, verbose: bool) -> Result<ExitCode> {
    let apk = empty_app(&machines::root().join(APPS))?;
    let scratch;
    let directory = match &args.work_dir {
        Some(directory) => {
            fs::create_dir_all(directory)
                .with_context(|| format!("--work-dir {}", directory.display()))?;
            directory.as_path()
        }
        None => {
            scratch = tempfile::Builder::new()
                .prefix("vm-microdroid")
                .tempdir()
                .context("cannot make a directory for the VM's files")?;
            scratch.path()
        }
    };
    let files = Files {
        apk: &apk,
        idsig: &directory.join("apk.idsig"),
        instance: &directory.join("instance.img"),
        instance_id: &directory.join("instance_id"),
        extras: Vec::new(),
    };
    let payload = Payload::PayloadConfig(VirtualMachinePayloadConfig {
        payloadBinaryName: EMPTY_PAYLOAD.to_owned(),
        ..Default::default()
    });
    run(&args.microdroid, &args.name, &files, payload, verbose)
}

fn run(
    args: &MicrodroidArgs,
    name: &str,
    files: &Files<'_>,
    payload: Payload,
    verbose: bool,
) -> Result<ExitCode> {
    let program = manager::locate(&args.manager, args.early)?;
    // A missing file should not cost the start of a manager.
    open(files.apk)?;
    let mut app = settings(args)?;
    app.name = name.to_owned();
    app.payload = payload;
    if verbose {
        manager::tell_vmm();
    }
    let request = Request {
        name,
        manager: manager::options(&program, &args.manager),
        early: args.early,
        debug: &args.debug,
        verbose,
    };
    let mut new = NewFiles::default();
    let result = life::run(&request, |manager| {
        fill(&mut app, files, args, manager, &mut new)?;
        Ok(VirtualMachineConfig::AppConfig(app))
    });
    if result.is_err() {
        new.remove_unused();
    }
    result
}

/// The payload that the options name, and the further APKs that it has.
fn payload(args: &RunAppArgs) -> Result<(Payload, Vec<PathBuf>)> {
    match (&args.config_path, &args.payload_binary_name) {
        (Some(path), _) => {
            let extras = extras_in_config(&args.apk, path)?;
            Ok((Payload::ConfigPath(path.clone()), extras))
        }
        (None, Some(name)) => {
            microdroid::check_binary_name(name).context("--payload-binary-name")?;
            let extra_apks = args.extra_apk.iter().map(|apk| Ok(fd(open(apk)?)));
            let payload = VirtualMachinePayloadConfig {
                payloadBinaryName: name.clone(),
                extraApks: extra_apks.collect::<Result<_>>()?,
            };
            Ok((Payload::PayloadConfig(payload), args.extra_apk.clone()))
        }
        (None, None) => bail!("give --config-path or --payload-binary-name"),
    }
}

/// The further APKs that the configuration at `path` in `apk` names.
fn extras_in_config(apk: &Path, path: &str) -> Result<Vec<PathBuf>> {
    let what = || format!("{path} in {}", apk.display());
    let mut json = Vec::new();
    extract(&open(apk)?, path, CONFIG_LIMIT, &mut json).with_context(what)?;
    let config = PayloadConfig::parse(&json).with_context(what)?;
    let root = machines::root();
    Ok(config
        .extra_apks
        .iter()
        .map(|extra| root.join(extra.path.trim_start_matches('/')))
        .collect())
}

/// What the options say of the VM, without what the manager has to make.
fn settings(args: &MicrodroidArgs) -> Result<VirtualMachineAppConfig> {
    let machine = &args.machine;
    let memory = machine.memory.map_or(0, MemorySize::mib);
    ensure!(
        args.debug.gdb.is_none() || args.level == Level::Full,
        "--gdb needs --debug full"
    );
    Ok(VirtualMachineAppConfig {
        osName: match &args.gki {
            Some(version) => format!("{GKI}{version}"),
            None => OS.to_owned(),
        },
        debugLevel: match args.level {
            Level::None => DebugLevel::NONE,
            Level::Full => DebugLevel::FULL,
        },
        memoryMib: i32::try_from(memory).context("cannot use --mem")?,
        cpuOptions: machine.cpu_topology.unwrap_or_default().to_parcelable(),
        protectedVm: machine.protected,
        hugePages: machine.hugepages,
        boostUclamp: machine.boost_uclamp,
        customConfig: custom(args)?,
        ..Default::default()
    })
}

/// What needs the permission for custom VMs; nothing if none of it is wanted.
fn custom(args: &MicrodroidArgs) -> Result<Option<CustomConfig>> {
    let machine = &args.machine;
    let mut params = Vec::new();
    if args.debug.enable_earlycon {
        params.push(earlycon::parameter()?.to_owned());
    }
    let is_wanted = args.debug.gdb.is_some()
        || args.vendor.is_some()
        || !machine.devices.is_empty()
        || machine.network_supported
        || !params.is_empty();
    let vendor = args.vendor.as_deref().map(open).transpose()?;
    Ok(is_wanted.then(|| CustomConfig {
        gdbPort: args.debug.gdb.map_or(0, |port| i32::from(port.get())),
        vendorImage: vendor.map(fd),
        devices: machine.devices.iter().cloned().map(ByPath).collect(),
        networkSupported: machine.network_supported,
        extraKernelCmdlineParams: params,
        ..Default::default()
    }))
}

/// Has the manager make what is not there yet, and puts all into the config.
fn fill(
    app: &mut VirtualMachineAppConfig,
    files: &Files<'_>,
    args: &MicrodroidArgs,
    manager: &Manager,
    new: &mut NewFiles,
) -> Result<()> {
    app.apk = Some(fd(open(files.apk)?));
    let mut idsig = |apk: &Path, idsig: &Path| {
        new.make(idsig, || update_idsig(manager, apk, idsig))
            .map(fd)
    };
    app.idsig = Some(idsig(files.apk, files.idsig)?);
    for (apk, path) in &files.extras {
        app.extraIdsigs.push(idsig(apk, path)?);
    }
    let mut image = |path: &Path, size, kind| {
        new.make(path, || partition(manager, path, size, kind))
            .map(fd)
    };
    let kind = PartitionType::ANDROID_VM_INSTANCE;
    app.instanceImage = Some(image(files.instance, INSTANCE_SIZE, kind)?);
    if let Some(storage) = &args.storage {
        let kind = PartitionType::ENCRYPTEDSTORE;
        app.encryptedStorageImage = Some(image(storage, args.storage_size, kind)?);
    }
    let path = files.instance_id;
    app.instanceId = new.make(path, || instance_id(manager, path, args.early))?;
    Ok(())
}

/// The instance id in the file `path`; a new one is put there if there is no such file.
fn instance_id(manager: &Manager, path: &Path, early: bool) -> Result<[u8; ID_LENGTH]> {
    let what = || format!("the instance id file {}", path.display());
    match fs::read(path) {
        Ok(bytes) => {
            let length = bytes.len();
            return bytes.try_into().map_err(|_| {
                anyhow!(
                    "{} has {length} bytes and not {ID_LENGTH}: it is not an instance id; \
                     remove it together with the instance image to begin anew",
                    what()
                )
            });
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(e).with_context(what),
    }
    let id = if early {
        early_id()?
    } else {
        manager
            .service()
            .allocateInstanceId()
            .map_err(|status| manager::refused("allocateInstanceId", status))?
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(what)?;
    if let Err(e) = file.write_all(&id) {
        // Half an id is of no use.
        let _ = fs::remove_file(path);
        return Err(e).with_context(what);
    }
    Ok(id)
}

/// A random id: no service hands out those of early VMs.
fn early_id() -> Result<[u8; ID_LENGTH]> {
    let mut id = [0; ID_LENGTH];
    let mut filled = 0;
    while filled < ID_LENGTH {
        let flags = rustix::rand::GetRandomFlags::empty();
        filled += rustix::rand::getrandom(&mut id[filled..], flags).context("get random bytes")?;
    }
    id[..EARLY_ID.len()].copy_from_slice(&EARLY_ID);
    Ok(id)
}

/// The platform's APK whose payload does nothing. Its directory and name may end in a version.
fn empty_app(apps: &Path) -> Result<PathBuf> {
    let inside = |directory: &Path, is_right: &dyn Fn(&str) -> bool| -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let mut found: Vec<PathBuf> = entries
            .filter(|entry| entry.file_name().to_str().is_some_and(is_right))
            .map(|entry| entry.path())
            .collect();
        found.sort();
        found
    };
    inside(apps, &|name| name.starts_with(EMPTY_APP))
        .iter()
        .flat_map(|directory| {
            inside(directory, &|name| {
                name.starts_with(EMPTY_APP) && name.ends_with(".apk")
            })
        })
        .next()
        .ok_or_else(|| {
            anyhow!(
                "no {}/{EMPTY_APP}*/{EMPTY_APP}*.apk: this system has no Microdroid with an empty payload; \
                 run an APK of your own with `vm run-app`",
                apps.display()
            )
        })
}

fn fd(file: File) -> ParcelFileDescriptor {
    ParcelFileDescriptor::new(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_app_is_found_with_any_version() {
        let apps = tempfile::tempdir().unwrap();
        let error = empty_app(apps.path()).unwrap_err().to_string();
        assert!(
            error.contains("EmptyPayloadApp") && error.contains("run-app"),
            "{error}"
        );
        let directory = apps.path().join("EmptyPayloadApp@35");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("README"), "").unwrap();
        fs::write(directory.join("EmptyPayloadAppGoogle.apk"), "").unwrap();
        let found = empty_app(apps.path()).unwrap();
        assert_eq!(found, directory.join("EmptyPayloadAppGoogle.apk"));
    }

    #[test]
    fn ids_of_early_vms_are_random_behind_their_head() {
        let [a, b] = [early_id().unwrap(), early_id().unwrap()];
        assert_eq!(a[..4], EARLY_ID);
        assert_ne!(a, b);
    }
}
