// SPDX-License-Identifier: Apache-2.0
//! The platform's list of APEXes, `/apex/apex-info-list.xml`, and which of them a VM gets.

use std::path::{Path, PathBuf};

/// What stands for the APEXes of the class path.
pub const CLASSPATH: &str = "{CLASSPATH}";
/// The APEX with which a guest is debugged.
const ADBD: &str = "com.android.adbd";
/// Where APEXes of a VM must have come with the system.
const SYSTEM: [&str; 2] = ["/system/", "/system_ext/"];
/// What a preinstalled APEX is called, and one that is compressed.
const EXTENSION: &str = "apex";

/// An APEX of the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApexInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// The file that is active, if this one is.
    pub path: PathBuf,
    /// The file with which the system came; empty for none.
    pub preinstalled_path: PathBuf,
    /// When it was last updated, in seconds since 1970, whatever the attribute's name says.
    pub last_update_seconds: u64,
    /// Whether it is as the system came with it.
    pub is_factory: bool,
    /// Whether it is active.
    pub is_active: bool,
    /// Whether it provides libraries to other APEXes.
    pub provides_libraries: bool,
    /// The partition with which the system came that has it.
    pub partition: String,
    /// Whether it is of the class path; not in the file.
    pub is_of_classpath: bool,
}

impl ApexInfo {
    fn new(entry: apex_list::ApexInfo) -> Result<Self, String> {
        let required = |name: &str, value: Option<String>| {
            value
                .filter(|value| !value.is_empty())
                .ok_or_else(|| format!("an apex-info has no {name}"))
        };
        let number = |name: &str, value: Option<String>| match value.as_deref() {
            None | Some("") => Ok(0),
            Some(value) => value
                .parse()
                .map_err(|_| format!("{name}=\"{value}\": it must be a number")),
        };
        let flag = |name: &str, value: Option<&str>| match value {
            None | Some("" | "false") => Ok(false),
            Some("true") => Ok(true),
            Some(value) => Err(format!("{name}=\"{value}\": it must be true or false")),
        };
        let is_active = required("isActive", entry.is_active)?;
        let is_factory = required("isFactory", entry.is_factory)?;
        let libraries = entry.provide_shared_apex_libs.as_deref();
        Ok(Self {
            name: required("moduleName", entry.module_name)?,
            version: number("versionCode", entry.version_code)?,
            path: required("modulePath", entry.module_path)?.into(),
            preinstalled_path: entry.preinstalled_module_path.unwrap_or_default().into(),
            last_update_seconds: number("lastUpdateMillis", entry.last_update_millis)?,
            is_factory: flag("isFactory", Some(&is_factory))?,
            is_active: flag("isActive", Some(&is_active))?,
            provides_libraries: flag("provideSharedApexLibs", libraries)?,
            partition: entry.partition.unwrap_or_default(),
            is_of_classpath: false,
        })
    }
}

/// The list of a platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApexInfoList {
    /// In the order of the file.
    pub apexes: Vec<ApexInfo>,
}

/// The list, or an APEX in it, cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApexError {
    /// It is not an APEX list.
    #[error("cannot read the list of APEXes: {0}; have apexd write it again")]
    Xml(String),
    /// An APEX that a VM needs is not there.
    #[error(
        "APEX {name} is not active on this host; install it, or remove it from the payload configuration"
    )]
    Missing {
        /// Its name.
        name: String,
    },
    /// An APEX that a VM needs did not come with the system.
    #[error("APEX {name} is from {}; a VM's APEX must be preinstalled on /system or /system_ext", path.display())]
    NotOfSystem {
        /// Its name.
        name: String,
        /// Where it came from.
        path: PathBuf,
    },
    /// A preinstalled APEX is not one that a guest can use as it is.
    #[error("APEX {name}: {} is not an uncompressed .apex file, which is what an early VM needs", path.display())]
    Compressed {
        /// Its name.
        name: String,
        /// The file.
        path: PathBuf,
    },
}

impl ApexInfoList {
    /// Reads the list.
    ///
    /// # Errors
    /// If it is not XML of that form: with the line.
    pub fn parse(xml: &str) -> Result<Self, ApexError> {
        let entries = apex_list::read(xml.as_bytes()).map_err(|e| ApexError::Xml(e.to_string()))?;
        let apexes = entries
            .into_iter()
            .map(|entry| {
                let line = entry.line;
                ApexInfo::new(entry).map_err(|why| ApexError::Xml(format!("line {line}: {why}")))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { apexes })
    }

    /// Marks the APEXes of the class path, which the platform's tool prints as lines `export NAME
    /// PATH:PATH`: an APEX is that whose directory below `/apex` a path begins with.
    pub fn mark_classpath(&mut self, exports: &str) {
        for path in exports
            .lines()
            .filter_map(|line| line.strip_prefix("export ")?.split_once(' '))
            .flat_map(|(_, paths)| paths.split(':'))
        {
            let name = path
                .strip_prefix("/apex/")
                .and_then(|rest| rest.split('/').next());
            for apex in &mut self.apexes {
                if Some(apex.name.as_str()) == name {
                    apex.is_of_classpath = true;
                }
            }
        }
    }

    /// Takes a staged APEX in the place of the active one: a factory one stays listed, as inactive.
    pub fn stage(&mut self, staged: &StagedApex) {
        let active = self
            .apexes
            .iter_mut()
            .find(|apex| apex.is_active && apex.name == staged.name);
        let Some(active) = active else { return };
        let factory = active.is_factory.then(|| ApexInfo {
            is_active: false,
            ..active.clone()
        });
        active.version = staged.version;
        active.path.clone_from(&staged.path);
        active.is_of_classpath = staged.is_of_classpath;
        active.last_update_seconds = staged.last_update_seconds;
        active.is_factory = false;
        self.apexes.extend(factory);
    }
}

/// An APEX that will be active after the next boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedApex {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// Its file.
    pub path: PathBuf,
    /// Whether it is of the class path.
    pub is_of_classpath: bool,
    /// The time of its file, in seconds since 1970.
    pub last_update_seconds: u64,
}

/// Which of an APEX's files a VM gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The active one.
    Active,
    /// That with which the system came: the active one may be on `/data`.
    Preinstalled,
}

/// What a VM needs of the platform.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The names in the payload's configuration, maybe with [`CLASSPATH`].
    pub names: &'a [String],
    /// Whether the guest may be debugged.
    pub is_debuggable: bool,
    /// Which files.
    pub source: Source,
}

/// The APEXes that a VM gets, in the order of their partitions, each with its file: those named that
/// are active, that of the debugger if it may be debugged, and all that provide libraries.
///
/// # Errors
/// If one that is named is not active, did not come with the system, or cannot be used as it is.
pub fn select<'a>(
    list: &'a ApexInfoList,
    wanted: Wanted<'_>,
) -> Result<Vec<(&'a ApexInfo, &'a Path)>, ApexError> {
    let named = |apex: &ApexInfo| {
        wanted.names.contains(&apex.name)
            || (apex.is_of_classpath && wanted.names.iter().any(|name| name == CLASSPATH))
    };
    let is_there = |name: &String| {
        name == CLASSPATH
            || list
                .apexes
                .iter()
                .any(|apex| apex.is_active && apex.name == *name)
    };
    if let Some(name) = wanted.names.iter().find(|name| !is_there(name)) {
        return Err(ApexError::Missing { name: name.clone() });
    }
    let mut selected: Vec<&ApexInfo> = list
        .apexes
        .iter()
        .filter(|apex| {
            (apex.is_active && (named(apex) || (wanted.is_debuggable && apex.name == ADBD)))
                || apex.provides_libraries
        })
        .collect();
    // The same at each boot, whatever the order of the list.
    selected.sort_by_key(|apex| (&apex.name, apex.version, apex.last_update_seconds));
    selected
        .into_iter()
        .map(|apex| Ok((apex, file(apex, wanted.source)?)))
        .collect()
}

fn file(apex: &ApexInfo, source: Source) -> Result<&Path, ApexError> {
    let preinstalled = apex.preinstalled_path.as_path();
    let is_of_system = SYSTEM.iter().any(|place| preinstalled.starts_with(place));
    if !is_of_system {
        return Err(ApexError::NotOfSystem {
            name: apex.name.clone(),
            path: preinstalled.to_owned(),
        });
    }
    match source {
        Source::Active => Ok(&apex.path),
        Source::Preinstalled if preinstalled.extension() == Some(EXTENSION.as_ref()) => {
            Ok(preinstalled)
        }
        Source::Preinstalled => Err(ApexError::Compressed {
            name: apex.name.clone(),
            path: preinstalled.to_owned(),
        }),
    }
}
