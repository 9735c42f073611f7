// SPDX-License-Identifier: Apache-2.0
//! Kernel binder, the global service, and what the manager says of itself.

use super::Fact;
use crate::cli::common::ManagerArgs;
use crate::feature::{KNOWN, short};
use crate::machines::root;
use crate::manager;
use anyhow::{Context, Result};
use host::printable;
use service_client::{Kernel, SERVICE_NAME, Way};
use vmclient::Manager;
use vmclient::rsbinder::ExceptionCode;

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

/// The key of the debug policy.
pub(super) const POLICY: &str = "debug_policy";

/// What the manager offers, operating systems for apps and features, and its debug policy.
pub(super) fn of_manager(args: &ManagerArgs) -> (Vec<Fact>, Option<Fact>) {
    let lacking = |e: anyhow::Error| {
        vec![Fact::lacking(
            "features",
            "features",
            "the manager could not be asked",
            format!("{e:#}"),
        )]
    };
    let manager =
        manager::locate(args, false).and_then(|program| manager::start_quietly(&program, args));
    match manager {
        Ok(manager) => (offers(&manager).unwrap_or_else(lacking), policy(&manager)),
        Err(e) => (lacking(e), None),
    }
}

/// What the manager lets guests expose for debugging; none where the release that is spoken has no way to
/// ask.
fn policy(manager: &Manager) -> Option<Fact> {
    let text = match manager.service().getDebugPolicy() {
        Ok(text) => text,
        Err(status) if status.exception_code() == ExceptionCode::UnsupportedOperation => {
            return None;
        }
        Err(status) => format!("unknown: {}", manager::refused("getDebugPolicy", status)),
    };
    let text = printable(&text).into_owned();
    Some(Fact::value(POLICY, "Debug policy", text))
}

fn offers(manager: &Manager) -> Result<Vec<Fact>> {
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
