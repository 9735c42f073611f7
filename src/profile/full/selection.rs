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
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use service_client::Kernel;
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use vmm::child::Exit;
use vmm::launch::Launch;

/// The platform's tool that knows the class path.
const DERIVE_CLASSPATH: &str = "/apex/com.android.sdkext/bin/derive_classpath";
/// How long it may take.
const LIMIT: Duration = Duration::from_secs(10);
/// More than any class path has, in bytes.
const LONGEST: usize = 1 << 20;
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
                        &format!("stat the staged APEX {name}, {}", path.display()),
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
    let failed = |e: Cause| Error::failed(format!("cannot find the class path for {CLASSPATH}"), e);
    let broken = |what: &str| {
        let what = format!("{} {what}", program.display());
        failed(io::Error::other(what).into())
    };
    let mut launch = Launch::new(program.to_owned());
    launch.arg("/proc/self/fd/1").discard_stderr();
    let child = launch.spawn().map_err(|e| failed(e.into()))?;
    let deadline = Instant::now() + limit;
    let late = || broken(&format!("did not end within {} s", limit.as_secs()));
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match rustix::io::read(child.stderr(), &mut buffer) {
            Ok(0) => break,
            Ok(n) if text.len() + n > LONGEST => return Err(broken("prints too much")),
            Ok(n) => text.extend_from_slice(&buffer[..n]),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                if !is_readable(child.stderr(), deadline).map_err(|e| failed(e.into()))? {
                    return Err(late());
                }
            }
            Err(e) => return Err(failed(io::Error::from(e).into())),
        }
    }
    if !is_readable(child.pidfd(), deadline).map_err(|e| failed(e.into()))? {
        return Err(late());
    }
    match child.wait().map_err(|e| failed(e.into()))?.exit {
        Exit::Code(0) => String::from_utf8(text).map_err(|e| failed(e.into())),
        exit => Err(broken(&format!("ended with {exit}"))),
    }
}

/// Whether `fd` becomes readable, or its other end closed, before `deadline`.
fn is_readable(fd: BorrowedFd<'_>, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        match poll(
            &mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)],
            timeout.as_ref(),
        ) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
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
        assert!(error.contains("/bin/false ended with"), "{error}");
        // Reads its script from its own standard output, which never comes.
        let error = ask("/bin/sh", Duration::from_millis(100)).unwrap_err();
        assert!(error.contains("/bin/sh did not end within"), "{error}");
    }
}
