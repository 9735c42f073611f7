// SPDX-License-Identifier: Apache-2.0
//! `vm run`: one VM, from its description to its end.

mod delay;
mod device_tree;
mod files;
mod host_console;
mod hub;
pub(crate) mod life;
mod manager_log;
mod progress;
mod sink;
mod verdict;

use crate::cli::run::RunArgs;
use crate::earlycon;
use crate::manager;
use anyhow::{Context, Result};
use std::process::ExitCode;
use vm_config::{MemoryMib, VmConfig};
use vmclient::avf_aidl::service::{VirtualMachineConfig, VirtualMachineRawConfig};

/// Runs a VM and waits for its end.
pub(crate) fn run(args: &RunArgs, verbose: bool) -> Result<ExitCode> {
    let config = description(args)?;
    let name = config.name.clone().unwrap_or_default();
    let raw = parcel(args, &config)?;
    let program = manager::locate(&args.manager, args.early)?;
    if verbose {
        manager::tell_vmm();
    }
    let request = life::Request {
        name: &name,
        manager: manager::options(&program, &args.manager),
        early: args.early,
        debug: &args.debug,
        verbose,
    };
    life::run(&request, |_| Ok(VirtualMachineConfig::RawConfig(raw)))
}

/// The description with what the command line overrules.
fn description(args: &RunArgs) -> Result<VmConfig> {
    let machine = &args.machine;
    let mut config = VmConfig::load(&args.config)?;
    if let Some(name) = &args.name {
        config.name = Some(name.clone());
    } else if config.name.is_none() {
        config.name = args
            .config
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
    }
    if let Some(size) = machine.memory {
        config.memory = Some(MemoryMib::try_from(size.mib()).context("cannot use --mem")?);
    }
    if let Some(topology) = machine.cpu_topology {
        config.cpu_topology = topology;
    }
    config.protected |= machine.protected;
    config.devices.extend(machine.devices.iter().cloned());
    if args.debug.enable_earlycon {
        let params = config.params.take().unwrap_or_default();
        let all = format!("{params} {}", earlycon::parameter()?);
        config.params = Some(all.trim_start().to_owned());
    }
    Ok(config)
}

/// The description as the manager takes it, with what only the command line can say.
fn parcel(args: &RunArgs, config: &VmConfig) -> Result<VirtualMachineRawConfig> {
    let machine = &args.machine;
    let mut raw = config.to_parcelable()?;
    raw.hugePages = machine.hugepages;
    raw.networkSupported = machine.network_supported;
    raw.boostUclamp = machine.boost_uclamp;
    raw.gdbPort = args.debug.gdb.map_or(0, |port| i32::from(port.get()));
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;
    use vmclient::avf_aidl::service::cpu_options::CpuTopology::{CpuCount, MatchHost};

    #[test]
    fn options_overrule_the_description() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("guest.json");
        std::fs::write(dir.path().join("kernel"), "x").unwrap();
        let text = r#"{ "kernel": "kernel", "platform_version": "~1.0", "params": "quiet",
            "memory_mib": 64, "devices": ["/sys/a"] }"#;
        std::fs::write(&file, text).unwrap();
        let parsed = |options: &[&str]| {
            let words = ["vm", "run", file.to_str().unwrap()];
            let cli = Cli::try_parse_from(words.iter().chain(options)).unwrap();
            let Command::Run(args) = cli.command else {
                panic!()
            };
            let config = description(&args).unwrap();
            parcel(&args, &config).unwrap()
        };
        let plain = parsed(&[]);
        assert_eq!((&*plain.name, plain.memoryMib), ("guest", 64));
        assert!(!plain.hugePages && !plain.networkSupported && !plain.boostUclamp);
        assert_eq!(plain.params.as_deref(), Some("quiet"));
        let options = "--name n -m 128 --cpu-topology match_host -p --hugepages -n -b --gdb 1234 \
                       --devices /sys/b --enable-earlycon";
        let options: Vec<&str> = options.split_whitespace().collect();
        let raw = parsed(&options);
        assert_eq!((&*raw.name, raw.memoryMib, raw.gdbPort), ("n", 128, 1234));
        assert!(matches!(raw.cpuOptions.cpuTopology, MatchHost(true)));
        assert!(raw.protectedVm && raw.hugePages && raw.networkSupported && raw.boostUclamp);
        let counted = parsed(&["--cpu-topology", "cpu_count=3"]);
        assert!(matches!(counted.cpuOptions.cpuTopology, CpuCount(3)));
        let devices = &raw.deviceAssignmentConfig.devices;
        assert_eq!(
            format!("{devices:?}"),
            r#"[ByPath("/sys/a"), ByPath("/sys/b")]"#
        );
        assert!(raw.params.unwrap().starts_with("quiet earlycon"));
    }
}
