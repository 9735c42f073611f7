// SPDX-License-Identifier: Apache-2.0
//! Programs of the distribution that a command needs. What is missing is shown with the command
//! that installs it; it is installed only with consent.

mod apt;

use crate::steps::{line, run, tell};
use anyhow::{Context, Result, bail, ensure};
use apt::{Apt, Plan, Refusal};
use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::Command;

/// A program and the Debian package that it is in.
pub(crate) type Need = (&'static str, &'static str);

/// What unpacking a kernel of Debian needs.
const PACKING: [Need; 4] = [
    ("dpkg-deb", "dpkg"),
    ("xz", "xz-utils"),
    ("lz4", "lz4"),
    ("zstd", "zstd"),
];

/// What the tests need: programs that check ours.
pub(crate) const TESTING: [Need; 22] = [
    ("xmllint", "libxml2-utils"),
    ("sgdisk", "gdisk"),
    ("sfdisk", "fdisk"),
    ("qemu-img", "qemu-utils"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.erofs", "erofs-utils"),
    ("mksquashfs", "squashfs-tools"),
    ("readelf", "binutils"),
    ("modinfo", "kmod"),
    ("cpio", "cpio"),
    ("strace", "strace"),
    ("img2simg", "android-sdk-libsparse-utils"),
    ("apksigner", "apksigner"),
    ("fsverity", "fsverity"),
    ("openssl", "openssl"),
    ("zip", "zip"),
    ("fdtoverlay", "device-tree-compiler"),
    ("g++", "g++"),
    ("mandoc", "mandoc"),
    ("groff", "groff-base"),
    ("zsh", "zsh"),
    ("fish", "fish"),
];

/// What the emulated device needs, beside QEMU.
pub(crate) const DEVICE: [Need; 4] = [
    ("depmod", "kmod"),
    ("modprobe", "kmod"),
    ("mkfs.erofs", "erofs-utils"),
    ("setpriv", "util-linux"),
];

/// What packing and signing an APK needs.
pub(crate) const APK: [Need; 2] = [("apksigner", "apksigner"), ("openssl", "openssl")];

/// Where programs are, also those that only root has in its PATH.
const MORE_PATHS: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// What packing a guest needs here. Without Debian's package manager the kernel is not one of
/// Debian's, and whether it is compressed is seen when it is read.
pub(crate) fn packing() -> &'static [Need] {
    if exists("apt-get") { &PACKING } else { &[] }
}

/// Installs packages, if it may.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Installer {
    /// The user said so when the command was given.
    pub(crate) consent: bool,
}

/// What becomes of a question.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    /// Nobody can be asked.
    NoTerminal,
}

impl Installer {
    /// Sees to it that the programs of `needs` are there.
    ///
    /// # Errors
    /// What is missing, and the command that installs it.
    pub(crate) fn provide(self, needs: &[Need]) -> Result<()> {
        let missing = missing(needs);
        if missing.is_empty() {
            return Ok(());
        }
        let packages: BTreeSet<_> = missing.iter().map(|(_, package)| *package).collect();
        let packages: Vec<_> = packages.into_iter().collect();
        let programs = names(&missing);
        ensure!(
            exists("apt-get"),
            "programs are missing: {programs}; install them (Debian's packages are called {})",
            packages.join(" ")
        );
        let plan = match apt::plan(&packages, &Apt::default()) {
            Err(Refusal::Unknown(why)) => {
                self.update(&format!("{programs}: missing, and {why}"))?;
                apt::plan(&packages, &Apt::default())?
            }
            other => other?,
        };
        tell!("missing: {programs}");
        for line in plan.lines() {
            tell!("  {line}");
        }
        let shown = shown(&plan.arguments);
        match self.ask("Install this?") {
            Answer::Yes => {}
            Answer::No => bail!("programs are missing: {programs}; run `{shown}`"),
            Answer::NoTerminal => {
                bail!("programs are missing: {programs}; run `{shown}`, or give --install")
            }
        }
        if run(&mut install(&plan)).is_err() {
            // Lists that are out of date show in a failure. New ones may have other versions.
            fetch_lists()?;
            run(&mut install(&apt::plan(&packages, &Apt::default())?))?;
        }
        let still = self::missing(needs);
        ensure!(
            still.is_empty(),
            "`{shown}` did not bring {}",
            names(&still)
        );
        Ok(())
    }

    /// Fetches apt's package lists, since `why`.
    pub(crate) fn update(self, why: &str) -> Result<()> {
        let shown = shown(&["update".to_owned()]);
        tell!("{why}");
        match self.ask(&format!(
            "The package lists may be missing or old. Run `{shown}`?"
        )) {
            Answer::Yes => fetch_lists(),
            Answer::No => bail!("{why}; if the package lists are old: `{shown}`"),
            Answer::NoTerminal => {
                bail!("{why}; if the package lists are old: `{shown}`, or give --install")
            }
        }
    }

    /// Asks, where there is someone to ask and the answer is not known.
    fn ask(self, question: &str) -> Answer {
        if self.consent {
            return Answer::Yes;
        }
        let (input, error) = (std::io::stdin(), std::io::stderr());
        if !input.is_terminal() || !error.is_terminal() {
            return Answer::NoTerminal;
        }
        let _ = write!(error.lock(), "{question} [y/N] ");
        let mut answer = String::new();
        let read = input.lock().read_line(&mut answer);
        match (read, answer.trim()) {
            (Ok(1..), "y" | "Y" | "yes") => Answer::Yes,
            _ => Answer::No,
        }
    }
}

/// The command of a plan, run as root, by `sudo` if need be.
fn install(plan: &Plan) -> Command {
    let mut command = as_root();
    command.arg("-y").args(&plan.arguments);
    command
}

fn fetch_lists() -> Result<()> {
    run(as_root().arg("update")).context("fetch the package lists")
}

fn as_root() -> Command {
    if is_root() {
        return apt_get();
    }
    let mut command = Command::new("sudo");
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]);
    command
}

/// What the user would type.
fn shown(arguments: &[String]) -> String {
    let mut command = Command::new(if is_root() { "apt-get" } else { "sudo" });
    if !is_root() {
        command.arg("apt-get");
    }
    line(command.args(arguments))
}

/// `apt-get` that asks nothing.
pub(crate) fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.arg("-q").env("DEBIAN_FRONTEND", "noninteractive");
    if is_root() {
        // Downloads go to a directory of ours, which apt's own user cannot write to.
        command.args(["-o", "APT::Sandbox::User=root"]);
    }
    command
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The members of `needs` that are missing, once each.
fn missing(needs: &[Need]) -> BTreeSet<Need> {
    needs
        .iter()
        .filter(|(program, _)| !exists(program))
        .copied()
        .collect()
}

fn names(needs: &BTreeSet<Need>) -> String {
    let programs: Vec<_> = needs.iter().map(|(program, _)| *program).collect();
    programs.join(", ")
}

/// Whether there is a program of this name.
pub(crate) fn exists(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(MORE_PATHS.split(':'))
        .any(|dir| Path::new(dir).join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_once() {
        let needs = [
            ("sh", "dash"),
            ("no-such-program", "p"),
            ("no-such-program", "p"),
        ];
        assert_eq!(
            missing(&needs).into_iter().collect::<Vec<_>>(),
            [("no-such-program", "p")]
        );
    }

    /// Nothing is installed without consent, and the error has the whole command. Whoever runs this
    /// test has no terminal for it to ask at.
    #[test]
    fn without_consent_the_command_is_named() {
        if !exists("apt-get") {
            return skip::skip!("no apt-get");
        }
        let installer = Installer { consent: false };
        assert_eq!(Installer { consent: true }.ask("?"), Answer::Yes);
        if std::io::stdin().is_terminal() {
            return skip::skip!("standard input is a terminal");
        }
        assert_eq!(installer.ask("?"), Answer::NoTerminal);
        let error = installer
            .provide(&[("no-such-program", "no-such-package-anywhere")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("no-such-program: missing") && error.contains("apt-get update"),
            "{error}"
        );
    }
}
