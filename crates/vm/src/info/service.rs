// SPDX-License-Identifier: Apache-2.0
//! Kernel binder, the global service, and what the manager says of itself.

use super::Fact;
use crate::cli::common::ManagerArgs;
use crate::feature::{KNOWN, short};
use crate::machines::root;
use crate::manager;
use anyhow::{Context, Result};
use service_client::{Kernel, SERVICE_NAME, Way};

/// The kernel's binder driver, with a service manager.
pub(super) fn binder() -> Fact {
    let (key, title) = ("binder", "kernel binder");
    match Kernel::open(&root()) {
        Ok(kernel) => {
            let registered = match kernel.get(SERVICE_NAME) {
                Ok(Some(_)) => format!("{SERVICE_NAME} is registered"),
                Ok(None) => format!("{SERVICE_NAME} is not registered"),
                Err(e) => e.to_string(),
            };
            let device = kernel.device().display();
            Fact::there(
                key,
                title,
                format!("{device}, with a service manager; {registered}"),
            )
        }
        Err(why) => Fact::lacking(
            key,
            title,
            why.to_string(),
            "not needed on Linux: the managers find the global service by its socket",
        ),
    }
}

/// The service that hands out what is unique on the machine.
pub(super) fn global() -> Fact {
    let (key, title) = ("global_service", "global service");
    match service_client::connect(&root()) {
        Ok(Some(service)) => {
            let way = match service.way() {
                Way::KernelBinder => "by kernel binder",
                Way::Socket => "by its socket",
            };
            Fact::there(key, title, format!("{} ({way})", service.place()))
        }
        Ok(None) => Fact::lacking(
            key,
            title,
            "none runs",
            "VMs run without it; networks, assigned devices and lasting instance ids need it: start \
             virtualizationservice",
        ),
        Err(e) => Fact::lacking(
            key,
            title,
            "there is one that cannot be used",
            format!("{:#}", anyhow::Error::from(e)),
        ),
    }
}

/// What the manager offers: operating systems for apps, and features.
pub(super) fn of_manager(args: &ManagerArgs) -> Vec<Fact> {
    match ask(args) {
        Ok(facts) => facts,
        Err(e) => vec![Fact::lacking(
            "features",
            "features",
            "the manager could not be asked",
            format!("{e:#}"),
        )],
    }
}

fn ask(args: &ManagerArgs) -> Result<Vec<Fact>> {
    let program = manager::locate(args, false)?;
    let manager = manager::start_quietly(&program, args)?;
    let service = manager.service();
    let mut systems = service
        .getSupportedOSList()
        .map_err(|status| manager::refused("getSupportedOSList", status))
        .context("cannot ask for the guests of apps")?;
    systems.sort();
    let guests = if systems.is_empty() {
        Fact::lacking(
            "guests",
            "guests for apps",
            "none",
            "vm run-app needs one in /apex/com.android.virt/etc: NAME.json with kernel and RAM disks",
        )
    } else {
        Fact::there("guests", "guests for apps", systems.join(", "))
    };
    let mut on = Vec::new();
    let mut off = Vec::new();
    for name in KNOWN {
        let enabled = service
            .isFeatureEnabled(name)
            .map_err(|status| manager::refused("isFeatureEnabled", status))?;
        if enabled { &mut on } else { &mut off }.push(short(name));
    }
    let list = |names: &[&str]| {
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    };
    let mut features = Fact::value("features", "features", list(&on));
    features.hint = (!off.is_empty()).then(|| format!("not enabled: {}", list(&off)));
    features.details = Some(serde_json::json!({ "enabled": on, "disabled": off }));
    Ok(vec![
        Fact {
            details: Some(systems.into()),
            ..guests
        },
        features,
    ])
}
