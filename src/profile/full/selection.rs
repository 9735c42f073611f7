// SPDX-License-Identifier: Apache-2.0
//! APEXes as they are active, or as they will be after the next boot.

use super::vendor_image;
use crate::app_config::Platform;
use crate::error::{Cause, Error};
use avf_aidl::platform::IPackageManagerNative;
use host::Host;
use microdroid::PayloadConfig;
use microdroid::apex::{ApexInfoList, CLASSPATH, Source, StagedApex};
use rsbinder::FromIBinder;
use service_client::Kernel;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The platform's tool that knows the class path.
const DERIVE_CLASSPATH: &str = "/apex/com.android.sdkext/bin/derive_classpath";
/// The platform's service that knows staged APEXes.
const PACKAGES: &str = "package_native";

/// APEXes as they are active.
#[derive(Debug)]
pub(super) struct Selection {
    host: Host,
}

impl Selection {
    /// The selection on a host.
    pub(super) fn new(host: &Host) -> Self {
        Self { host: host.clone() }
    }

    /// Takes staged APEXes in the place of active ones.
    fn stage(&self, list: &mut ApexInfoList) -> Result<(), Error> {
        let failed =
            |what: &str, source: Cause| Error::failed(format!("prefer_staged: {what}"), source);
        let ask = |e: rsbinder::Status| failed("ask for the staged APEXes", Box::new(e));
        let found = Kernel::open(self.host.root()).and_then(|kernel| kernel.get(PACKAGES));
        let Some(packages) = found.unwrap_or_else(|e| {
            log::debug!("{PACKAGES}: {e}");
            None
        }) else {
            log::info!("prefer_staged: this host has no {PACKAGES}, so nothing is staged");
            return Ok(());
        };
        let packages = <dyn IPackageManagerNative>::try_from(packages)
            .map_err(|e| failed("speak with package_native", Box::new(e)))?;
        for name in packages.getStagedApexModuleNames().map_err(ask)? {
            let Some(info) = packages.getStagedApexInfo(&name).map_err(ask)? else {
                continue;
            };
            let path = PathBuf::from(&info.diskImagePath);
            let time = std::fs::metadata(self.host.path(&info.diskImagePath))
                .map_err(|e| {
                    failed(
                        &format!("staged APEX {name}: {}", path.display()),
                        Box::new(e),
                    )
                })?
                .mtime();
            list.stage(&StagedApex {
                name: info.moduleName,
                version: u64::try_from(info.versionCode).unwrap_or_default(),
                path,
                is_of_classpath: info.hasClassPathJars,
                last_update_seconds: u64::try_from(time).unwrap_or_default(),
            });
        }
        Ok(())
    }
}

impl Platform for Selection {
    fn complete(&self, list: &mut ApexInfoList, config: &PayloadConfig) -> Result<(), Error> {
        if config.apexes.iter().any(|apex| apex.name == CLASSPATH) {
            list.mark_classpath(&class_path(&self.host.path(DERIVE_CLASSPATH))?);
        }
        if config.prefer_staged {
            self.stage(list)?;
        }
        Ok(())
    }

    fn source(&self) -> Source {
        Source::Active
    }

    fn vendor_digest(&self, image: &File) -> Result<String, Error> {
        vendor_image::vendor_digest(image)
    }
}

/// What the platform's tool prints of the class path.
fn class_path(program: &Path) -> Result<String, Error> {
    let failed = |e: io::Error| {
        Error::io(
            format!("cannot run {} for {CLASSPATH}", program.display()),
            e,
        )
    };
    let output = Command::new(program)
        .arg("/proc/self/fd/1")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(failed)?;
    if !output.status.success() {
        return Err(failed(io::Error::other(output.status.to_string())));
    }
    String::from_utf8(output.stdout).map_err(|e| failed(io::Error::other(e)))
}
