// SPDX-License-Identifier: Apache-2.0
//! APEXes as they are active, or as they will be after the next boot.

use super::{staged, vendor_image};
use crate::app_config::Platform;
use crate::error::{Cause, Error};
use host::Host;
use microdroid::PayloadConfig;
use microdroid::apex::{ApexInfoList, CLASSPATH, Source, StagedApex};
use service_client::Kernel;
use service_client::wire::Wire;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vmm::child::Exit;
use vmm::run::MAX_OUTPUT;

/// The platform's tool that knows the class path.
const DERIVE_CLASSPATH: &str = "/apex/com.android.sdkext/bin/derive_classpath";
/// How long it may take.
const LIMIT: Duration = Duration::from_secs(10);
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
        let failed = |what: &str, source: Cause| {
            Error::failed(format!("prefer_staged: cannot {what}"), source)
        };
        let ask = |e: rsbinder::Status| failed("ask for the staged APEXes", Box::new(e));
        let found = Kernel::open(self.host.root()).and_then(|kernel| kernel.get(PACKAGES));
        let Some(packages) = found.unwrap_or_else(|e| {
            log::debug!("{PACKAGES}: {e}");
            None
        }) else {
            log::info!("prefer_staged: this host has no {PACKAGES}, so nothing is staged");
            return Ok(());
        };
        // It is the platform's.
        let release = Wire::of_host(&self.host).release;
        for info in staged::ask(&packages, release).map_err(ask)? {
            let path = PathBuf::from(&info.diskImagePath);
            let time = std::fs::metadata(self.host.path(&info.diskImagePath))
                .map_err(|e| {
                    failed(
                        &format!(
                            "stat the staged APEX {}, {}",
                            info.moduleName,
                            path.display()
                        ),
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
            list.mark_classpath(&class_path(&self.host.path(DERIVE_CLASSPATH), LIMIT)?);
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

/// What the platform's tool prints of the class path. It is killed with this manager, or after `limit`.
fn class_path(program: &Path, limit: Duration) -> Result<String, Error> {
    let failed = |e: Cause| {
        let what = format!(
            "cannot find the class path for {CLASSPATH} with {}",
            program.display()
        );
        Error::failed(what, e)
    };
    let output = vmm::run::output(program, &["/proc/self/fd/1"], None, limit)
        .map_err(|e| failed(e.into()))?;
    match output.exit {
        Exit::Code(0) if output.text.len() < MAX_OUTPUT => Ok(output.text),
        Exit::Code(0) => Err(failed("it prints more than any class path has".into())),
        exit => Err(failed(format!("it ended with {exit}").into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tool_of_the_class_path_has_limited_time() {
        let ask = |program: &str, limit| {
            class_path(Path::new(program), limit).map_err(|e| host::chain(&e))
        };
        let plenty = Duration::from_secs(60);
        // It prints its argument.
        assert_eq!(ask("/bin/echo", plenty).unwrap(), "/proc/self/fd/1\n");
        let error = ask("/bin/false", plenty).unwrap_err();
        assert!(error.contains("/bin/false: it ended with"), "{error}");
        // Reads its script from its own standard output, which never comes.
        let error = ask("/bin/sh", Duration::from_millis(100)).unwrap_err();
        assert!(error.contains("/bin/sh: it did not end within"), "{error}");
    }
}
