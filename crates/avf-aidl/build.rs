// SPDX-License-Identifier: Apache-2.0
//! Generates the bindings of each release from the `.aidl` files in `aidl`, which the directory of
//! that name at the top of the repository points to.
//!
//! A file stands in the directory of the first release that has it in that form. So the files of a
//! release are those of all directories up to its own, later ones over earlier ones, without those
//! that a release dropped. They are put together in the build directory, as the generator, like
//! Android's compiler, refuses an import that it finds in two places.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io, thread};

struct Release {
    /// Its directory in `aidl`.
    directory: &'static str,
    /// The Rust module, and the name of the generated file.
    module: &'static str,
    /// As Cargo names the feature to build scripts; none for the release that is always built.
    feature: Option<&'static str>,
    /// Whether the packages of the feature `full` are generated.
    full: bool,
    /// Files of earlier releases that it no longer has.
    dropped: &'static [&'static str],
}

/// In order.
const RELEASES: [Release; 6] = [
    Release {
        directory: "15",
        module: "r15",
        feature: Some("CARGO_FEATURE_RELEASE_15"),
        full: false,
        dropped: &[],
    },
    Release {
        directory: "15-qpr1",
        module: "r15_qpr1",
        feature: Some("CARGO_FEATURE_RELEASE_15_QPR1"),
        full: true,
        dropped: &["android/system/virtualizationservice/MemoryTrimLevel.aidl"],
    },
    Release {
        directory: "15-qpr2",
        module: "r15_qpr2",
        feature: Some("CARGO_FEATURE_RELEASE_15_QPR2"),
        full: false,
        dropped: &[],
    },
    Release {
        directory: "16",
        module: "r16",
        feature: Some("CARGO_FEATURE_RELEASE_16"),
        full: true,
        dropped: &["android/system/virtualizationservice/CpuTopology.aidl"],
    },
    Release {
        directory: "17",
        module: "r17",
        feature: Some("CARGO_FEATURE_RELEASE_17"),
        full: false,
        // It has no IGlobalVmContext either, but a service serves older managers as well.
        dropped: &["android/system/virtualmachineservice/IGuestAgent.aidl"],
    },
    Release {
        directory: "17.1",
        module: "r17_1",
        feature: None,
        full: true,
        dropped: &["android/system/virtualizationservice/AssignedDevices.aidl"],
    },
];

/// Packages every manager, client and guest needs; what these import comes along by itself.
const BASE: [&str; 3] = [
    "android/system/virtualizationcommon",
    "android/system/virtualizationservice",
    "android/system/virtualmachineservice",
];

/// Packages of the feature `full`.
const FULL: [&str; 5] = [
    "android/content/pm",
    "android/os",
    "android/system/virtualizationmaintenance",
    "android/system/virtualizationservice_internal",
    "android/system/vmtethering",
];

fn main() -> ExitCode {
    // The generator reads copies, so it cannot name the files to Cargo.
    println!("cargo::rerun-if-changed=aidl");
    println!("cargo::rerun-if-changed=build.rs");
    let Some(out) = env::var_os("OUT_DIR") else {
        eprintln!("cannot generate the bindings: OUT_DIR is not set; build with Cargo");
        return ExitCode::FAILURE;
    };
    let out = Path::new(&out);
    let full = env::var_os("CARGO_FEATURE_FULL").is_some();
    let failed = thread::scope(|scope| {
        let built: Vec<_> = (0..RELEASES.len())
            .filter(|&at| {
                RELEASES[at]
                    .feature
                    .is_none_or(|name| env::var_os(name).is_some())
            })
            .map(|at| scope.spawn(move || generate(at, full, out)))
            .collect();
        built
            .into_iter()
            .filter_map(|thread| {
                thread
                    .join()
                    .unwrap_or(Err("the generator panicked".to_owned()))
                    .err()
            })
            .inspect(|error| eprintln!("{error}"))
            .count()
    });
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Writes the bindings of the release at this place of [`RELEASES`].
fn generate(at: usize, full: bool, out: &Path) -> Result<(), String> {
    let release = &RELEASES[at];
    let root = out.join("aidl").join(release.directory);
    assemble(at, &root).map_err(|error| {
        format!(
            "cannot put the files of {} together: {error}",
            release.directory
        )
    })?;
    let packages = BASE
        .iter()
        .chain(if full && release.full {
            FULL.as_slice()
        } else {
            &[]
        })
        .map(|package| root.join(package))
        .filter(|directory| directory.exists());
    let mut builder = rsbinder_aidl::Builder::new()
        .include_dir(&root)
        .output(format!("{}.rs", release.module));
    for package in packages {
        builder = builder.source(package);
    }
    // The report's Debug form is the one with file, line and text.
    builder
        .generate()
        .map_err(|error| format!("{:?}", miette::Report::new(error)))
}

/// Puts the files of a release into one directory.
fn assemble(at: usize, root: &Path) -> io::Result<()> {
    match fs::remove_dir_all(root) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    for release in &RELEASES[..=at] {
        for file in release.dropped {
            fs::remove_file(root.join(file))?;
        }
        copy(&Path::new("aidl").join(release.directory), root)?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
