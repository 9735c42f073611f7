// SPDX-License-Identifier: Apache-2.0
//! `vm info`: what this host can do for VMs, and why not.

mod host;
mod rights;
mod service;
mod vmms;

use crate::cli::InfoArgs;
use crate::paint::Paint;
use anyhow::Result;
use rustix::process::Resource;
use serde::Serialize;
use serde_json::Value;
use std::process::ExitCode;

/// One thing that matters for VMs.
#[derive(Debug, Serialize)]
struct Fact {
    /// The key in JSON.
    #[serde(skip)]
    key: &'static str,
    /// The name in the table.
    #[serde(skip)]
    title: &'static str,
    /// Whether it is there; none if it is merely a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    available: Option<bool>,
    /// What was found.
    value: String,
    /// What follows if it is not there, or what can be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// The same for programs, if it is more than a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Value>,
}

impl Fact {
    fn value(key: &'static str, title: &'static str, value: impl Into<String>) -> Self {
        Self {
            key,
            title,
            available: None,
            value: value.into(),
            hint: None,
            details: None,
        }
    }

    fn there(key: &'static str, title: &'static str, value: impl Into<String>) -> Self {
        Self {
            available: Some(true),
            ..Self::value(key, title, value)
        }
    }

    fn lacking(
        key: &'static str,
        title: &'static str,
        value: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            available: Some(false),
            hint: Some(hint.into()),
            ..Self::value(key, title, value)
        }
    }
}

/// Shows the host's abilities.
pub(crate) fn info(args: &InfoArgs) -> Result<ExitCode> {
    let facts = facts(args);
    if args.json {
        let map: serde_json::Map<String, Value> = facts
            .iter()
            .map(|fact| Ok((fact.key.to_owned(), serde_json::to_value(fact)?)))
            .collect::<Result<_>>()?;
        crate::out::print_json(&map)?;
    } else {
        crate::out::print(&table(&facts, Paint::stdout()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn facts(args: &InfoArgs) -> Vec<Fact> {
    let mut facts = vec![
        Fact::value("kernel", "host kernel", host::kernel()),
        Fact::value("cpus", "CPUs", host::cpus()),
        Fact::value("memory", "memory", host::memory()),
        host::kvm(),
        host::vhost_vsock(),
        vmms::vmm(),
    ];
    facts.extend(vmms::acceleration());
    facts.extend(vmms::all());
    let named = args.manager.manager.as_deref();
    facts.extend(vmms::manager(
        "virtmgr",
        "manager",
        "virtmgr_releases",
        named,
    ));
    let (name, releases) = ("early_virtmgr", "early_virtmgr_releases");
    facts.extend(vmms::manager(name, "early manager", releases, None));
    facts.extend([service::binder(), service::global()]);
    let (offers, policy) = service::of_manager(&args.manager);
    facts.extend(offers);
    facts.extend(rights::permissions());
    facts.extend([
        rights::limit(
            "memory_lock_limit",
            "memory lock limit",
            Resource::Memlock,
            "bytes",
        ),
        rights::limit(
            "open_files_limit",
            "open files limit",
            Resource::Nofile,
            "files",
        ),
        rights::capabilities(),
    ]);
    facts.extend(policy);
    facts
}

fn table(facts: &[Fact], paint: Paint) -> String {
    let mut text = String::new();
    let width = facts.iter().map(|fact| fact.title.len()).max().unwrap_or(0);
    for fact in facts {
        if fact.key == service::POLICY {
            // The last line, in the form of Android's tool, which programs look for.
            text += &format!("{}: {}\n", fact.title, fact.value);
            continue;
        }
        // Padded before it is coloured: the codes have a length, too.
        let mark = match fact.available {
            Some(true) => paint.good("yes"),
            Some(false) => paint.bad("no "),
            None => "   ".to_owned(),
        };
        // A value of several lines stands below itself.
        let value = fact.value.replace('\n', &format!("\n{:width$}       ", ""));
        text += &format!("{:width$}  {mark}  {value}\n", fact.title);
        if let Some(hint) = &fact.hint {
            text += &format!("{:width$}       {}\n", "", paint.dim(hint));
        }
    }
    text
}
