// SPDX-License-Identifier: Apache-2.0
//! Kernels of Debian, fetched with the package manager and unpacked, not installed: the cloud
//! kernel for guests, or any other that the user names, and the one with all drivers for the
//! emulated device.

use crate::packages::{Installer, apt_get, exists};
use crate::steps::{output, run, say};
use crate::workspace::Arch;
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which kernel the guest gets.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct KernelArgs {
    /// Debian's cloud kernel of this series, such as 6.1 or 6.12 [default: the release's own]
    #[arg(long, value_name = "SERIES", conflicts_with = "kernel", value_parser = series)]
    pub(crate) kernel_series: Option<String>,
    /// A kernel file of your own
    #[arg(long, value_name = "FILE")]
    pub(crate) kernel: Option<PathBuf>,
    /// The modules of that kernel, its lib/modules/VERSION; without, it must have all built in
    #[arg(long, value_name = "DIR", requires = "kernel")]
    pub(crate) modules: Option<PathBuf>,
}

/// A kernel at hand.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// The image, as distributions ship it.
    pub(crate) image: PathBuf,
    /// Its `lib/modules/VERSION`, if it has modules.
    pub(crate) modules: Option<PathBuf>,
}

fn series(text: &str) -> Result<String, String> {
    let (major, minor) = text.split_once('.').unwrap_or((text, ""));
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if number(major) && number(minor) {
        Ok(text.to_owned())
    } else {
        Err("a series is two numbers, such as 6.1".to_owned())
    }
}

/// Gets the kernel that `args` ask for; fetched ones are kept in `cache`. Where no kernel of Debian
/// can be fetched, the one that runs here is taken.
pub(crate) fn get(args: &KernelArgs, cache: &Path, installer: Installer) -> Result<Kernel> {
    if let Some(image) = &args.kernel {
        ensure!(
            image.is_file(),
            "--kernel {}: no such file",
            image.display()
        );
        if let Some(modules) = &args.modules {
            ensure!(
                modules.join("kernel").is_dir() || modules.join("modules.builtin").is_file(),
                "--modules {}: not the lib/modules/VERSION of a kernel",
                modules.display()
            );
        }
        return Ok(Kernel {
            image: image.clone(),
            modules: args.modules.clone(),
        });
    }
    // What was fetched stays, so that a later call needs no network.
    let kept = cache.join(
        args.kernel_series
            .as_deref()
            .map_or("default".into(), |s| format!("series-{s}")),
    );
    if kept.is_dir() {
        return unpacked(&kept);
    }
    if !exists("apt-get") {
        ensure!(
            args.kernel_series.is_none(),
            "--kernel-series takes Debian's apt-get; name a kernel with --kernel FILE --modules DIR"
        );
        let own = own_kernel(Path::new("/"), &own_version());
        return own.map_err(|why| {
            anyhow!(
                "there is no apt-get to fetch a kernel with, and {why}; name one with --kernel FILE \
                 --modules DIR, where DIR is its lib/modules/VERSION"
            )
        });
    }
    let fetched = fetch(
        args.kernel_series.as_deref(),
        Flavour::Cloud,
        cache,
        &kept,
        installer,
    );
    if let Err(error) = fetched {
        return Err(
            error.context(match own_kernel(Path::new("/"), &own_version()) {
                Ok(own) => format!(
                    "cannot fetch a kernel; this machine's own: --kernel {} --modules {}",
                    own.image.display(),
                    own.modules.unwrap_or_default().display()
                ),
                Err(_) => "cannot fetch a kernel; another: --kernel FILE --modules DIR".to_owned(),
            }),
        );
    }
    unpacked(&kept)
}

/// The version of the kernel that runs here.
fn own_version() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

/// The kernel `version` that is installed under `root`.
///
/// # Errors
/// Why it cannot be taken.
fn own_kernel(root: &Path, version: &str) -> Result<Kernel, String> {
    let modules = ["lib/modules", "usr/lib/modules"]
        .map(|dir| root.join(dir).join(version))
        .into_iter()
        .find(|dir| dir.join("modules.builtin").is_file())
        .ok_or_else(|| {
            format!(
                "this machine has no {}",
                root.join("lib/modules").join(version).display()
            )
        })?;
    // Distributions put it in one place or the other.
    let images = [
        root.join("boot").join(format!("vmlinuz-{version}")),
        modules.join("vmlinuz"),
    ];
    let mut why = format!("this machine has no {}", images[0].display());
    for image in images {
        match fs::File::open(&image) {
            Ok(_) => {
                return Ok(Kernel {
                    image,
                    modules: Some(modules),
                });
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => why = format!("{}: {e}", image.display()),
        }
    }
    Err(why)
}

/// Gets the kernel of `series` with the drivers of all machines, kept in `cache`, with the index
/// of its modules that `modprobe` reads.
pub(crate) fn with_all_drivers(series: &str, cache: &Path, installer: Installer) -> Result<Kernel> {
    let kept = cache.join(format!("device-{series}"));
    if !kept.is_dir() {
        fetch(Some(series), Flavour::AllDrivers, cache, &kept, installer)?;
    }
    let kernel = unpacked(&kept)?;
    if let Some(modules) = &kernel.modules
        && !modules.join("modules.dep").is_file()
    {
        // depmod wants the modules below lib of a root, as they are.
        let root = modules.ancestors().nth(3).context("where modules are")?;
        let version = modules.file_name().context("the modules' version")?;
        run(Command::new("depmod").arg("-b").arg(root).arg(version))?;
    }
    Ok(kernel)
}

/// Which of Debian's kernels of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flavour {
    /// The one for virtual machines.
    Cloud,
    /// The one for all machines.
    AllDrivers,
}

impl Flavour {
    /// The suffix of its packages' names after the version.
    fn suffix(self, arch: &str) -> String {
        match self {
            Self::Cloud => format!("cloud-{arch}"),
            Self::AllDrivers => arch.to_owned(),
        }
    }

    /// Whether this is the name of a package of this flavour, and not of one with a longer suffix.
    fn is_of(self, package: &str, arch: &str) -> bool {
        package
            .strip_suffix(&self.suffix(arch))
            .and_then(|rest| rest.strip_suffix('-'))
            .is_some_and(|rest| !rest.ends_with("-cloud") && !rest.ends_with("-rt"))
    }
}

/// Fetches the package and unpacks it to `kept`.
fn fetch(
    series: Option<&str>,
    flavour: Flavour,
    cache: &Path,
    kept: &Path,
    installer: Installer,
) -> Result<()> {
    let arch = Arch::host()?.debian;
    let find = || concrete_package(series, flavour, arch);
    let package = match find() {
        Ok(package) => package,
        Err(error) => {
            installer.update(&error.to_string())?;
            find()?
        }
    };
    say!(
        "fetches {package} and unpacks it to {}; it is not installed",
        kept.display()
    );
    let work = cache.join("fetching");
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| format!("remove {}", work.display()))?;
    }
    fs::create_dir_all(&work).with_context(|| format!("make {}", work.display()))?;
    let download = || run(apt_get().arg("download").arg(&package).current_dir(&work));
    if let Err(error) = download() {
        installer.update(&error.to_string())?;
        download()?;
    }
    let file = only(&work, |name| name.ends_with(".deb"))?;
    let tree = work.join("tree");
    run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&tree))?;
    unpacked(&tree).with_context(|| format!("look into {package}"))?;
    fs::rename(&tree, kept).with_context(|| format!("make {}", kept.display()))?;
    fs::remove_dir_all(&work).with_context(|| format!("remove {}", work.display()))
}

/// The package that holds the kernel: what the meta-package depends on.
fn concrete_package(series: Option<&str>, flavour: Flavour, arch: &str) -> Result<String> {
    let suffix = flavour.suffix(arch);
    let of_series = series.map(|series| format!("linux-image-{series}-{suffix}"));
    let metas = of_series
        .into_iter()
        .chain([format!("linux-image-{suffix}")]);
    for meta in metas {
        // A meta-package may be missing: the next one may exist.
        let text = output(Command::new("apt-cache").args(["depends", "--important", &meta]));
        let package = text.ok().and_then(|text| dependency(&text, flavour, arch));
        if let Some(package) = package.filter(|p| series.is_none_or(|s| is_of_series(p, s))) {
            return Ok(package);
        }
    }
    match series {
        None => bail!(
            "apt-cache knows no linux-image-{suffix}; name a kernel with --kernel FILE --modules DIR"
        ),
        Some(series) => {
            let names = output(Command::new("apt-cache").args(["pkgnames", "linux-image-"]))?;
            newest(&names, series, flavour, arch).with_context(|| {
                format!("apt-cache knows no linux-image-{series}*-{suffix}; name a kernel with --kernel FILE --modules DIR")
            })
        }
    }
}

/// The kernel package among the dependencies that `apt-cache depends` prints.
fn dependency(text: &str, flavour: Flavour, arch: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.starts_with("linux-image-") && flavour.is_of(name, arch))
        .map(str::to_owned)
}

fn is_of_series(package: &str, series: &str) -> bool {
    package
        .strip_prefix("linux-image-")
        .and_then(|rest| rest.strip_prefix(series))
        .is_some_and(|rest| rest.starts_with(['.', '-', '+']))
}

/// The newest kernel of `series` in a list of package names.
fn newest(names: &str, series: &str, flavour: Flavour, arch: &str) -> Option<String> {
    // The numbers of the version, as numbers.
    let key = |name: &str| -> Vec<u64> {
        name.split(|c: char| !c.is_ascii_digit())
            .filter_map(|part| part.parse().ok())
            .collect()
    };
    names
        .lines()
        .filter(|name| is_of_series(name, series) && flavour.is_of(name, arch))
        .max_by_key(|name| key(name))
        .map(str::to_owned)
}

/// The kernel in the unpacked package `tree`.
fn unpacked(tree: &Path) -> Result<Kernel> {
    let image = only(&tree.join("boot"), |name| name.starts_with("vmlinuz-"))?;
    // Newer packages have merged /lib into /usr/lib.
    let modules = [tree.join("lib/modules"), tree.join("usr/lib/modules")];
    let modules = modules
        .iter()
        .find(|dir| dir.is_dir())
        .context("the package has no modules")?;
    Ok(Kernel {
        image,
        modules: Some(only(modules, |_| true)?),
    })
}

/// The one entry of `dir` whose name is `wanted`.
fn only(dir: &Path, wanted: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let entry = entry.with_context(|| format!("list {}", dir.display()))?;
        if entry.file_name().to_str().is_some_and(&wanted) {
            found.push(entry.path());
        }
    }
    match found.len() {
        1 => found.pop().context("one is there"),
        n => bail!("{}: {n} entries where there should be one", dir.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meta_package_leads_to_the_kernel() {
        let text = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n";
        assert_eq!(
            dependency(text, Flavour::Cloud, "amd64").unwrap(),
            "linux-image-6.1.0-56-cloud-amd64"
        );
        assert_eq!(dependency(text, Flavour::Cloud, "arm64"), None);
        assert_eq!(dependency(text, Flavour::AllDrivers, "amd64"), None);
    }

    #[test]
    fn a_series_is_not_the_beginning_of_another() {
        let names = "linux-image-6.1.0-9-cloud-amd64\nlinux-image-6.1.0-56-cloud-amd64\n\
                     linux-image-6.1.0-57-amd64\nlinux-image-6.12.99+deb12-cloud-amd64\n\
                     linux-image-6.12.117+deb12-cloud-amd64\nlinux-image-6.12.118+deb12-cloud-amd64-dbg\n\
                     linux-image-6.12.118+deb12-cloud-arm64\n";
        assert_eq!(
            newest(names, "6.1", Flavour::Cloud, "amd64").unwrap(),
            "linux-image-6.1.0-56-cloud-amd64"
        );
        assert_eq!(
            newest(names, "6.12", Flavour::Cloud, "amd64").unwrap(),
            "linux-image-6.12.117+deb12-cloud-amd64"
        );
        assert_eq!(
            newest(names, "6.1", Flavour::AllDrivers, "amd64").unwrap(),
            "linux-image-6.1.0-57-amd64"
        );
        assert_eq!(newest(names, "6.13", Flavour::Cloud, "amd64"), None);
        assert!(is_of_series("linux-image-6.12-cloud-amd64", "6.12"));
    }

    #[test]
    fn the_kernel_that_runs_here_is_found_in_each_distributions_place() {
        let root = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "x").unwrap();
            path
        };
        let error = own_kernel(root.path(), "6.9").unwrap_err();
        assert!(
            error.contains("has no") && error.contains("lib/modules/6.9"),
            "{error}"
        );
        make("usr/lib/modules/6.9/modules.builtin");
        let error = own_kernel(root.path(), "6.9").unwrap_err();
        assert!(error.contains("boot/vmlinuz-6.9"), "{error}");
        // Fedora and Arch, then Debian.
        let image = make("usr/lib/modules/6.9/vmlinuz");
        let kernel = own_kernel(root.path(), "6.9").unwrap();
        assert_eq!(kernel.image, image);
        assert_eq!(kernel.modules.as_deref(), image.parent());
        let image = make("boot/vmlinuz-6.9");
        assert_eq!(own_kernel(root.path(), "6.9").unwrap().image, image);
        assert!(own_kernel(root.path(), "6.10").is_err());
    }

    #[test]
    fn a_series_is_two_numbers() {
        assert!(series("6.12").is_ok());
        for wrong in ["6", "6.", "6.x", "6.1.0", "../6.1", ""] {
            assert!(series(wrong).is_err(), "{wrong}");
        }
    }
}
