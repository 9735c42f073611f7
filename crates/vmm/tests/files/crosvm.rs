// SPDX-License-Identifier: Apache-2.0
//! crosvm's command lines, compared with lists.

use super::Files;
use std::fs;
use std::path::Path;
use vmm::crosvm::{Dialect, Platform};
use vmm::plan::Plan;
use vmm::{Arch, Error, Vmm};

/// What the help of a crosvm with every feature has of the words that are looked for. No crosvm for
/// Android, or for another processor, can run here; what a real one says is checked where it runs.
pub(crate) const EVERYTHING: &str = "create_composite --gdb --gpu";

pub(crate) fn android_arm() -> Dialect {
    Dialect::of(Platform::Android, Arch::Aarch64)
}

pub(crate) fn android_x86() -> Dialect {
    Dialect::of(Platform::Android, Arch::X86_64)
}

pub(crate) fn linux_arm() -> Dialect {
    Dialect::of(Platform::Linux, Arch::Aarch64)
}

pub(crate) fn linux_x86() -> Dialect {
    Dialect::of(Platform::Linux, Arch::X86_64)
}

/// Compares the command line for a plan, and the components of its composite disks, with the list.
pub(crate) fn golden(list: &str, dialect: Dialect, change: impl FnOnce(&mut Files, &mut Plan)) {
    golden_of(list, dialect, EVERYTHING, change);
}

/// The same, for a crosvm whose help has `words`.
pub(crate) fn golden_of(
    list: &str,
    dialect: Dialect,
    words: &str,
    change: impl FnOnce(&mut Files, &mut Plan),
) {
    let mut files = Files::new();
    let mut plan = files.plan();
    change(&mut files, &mut plan);
    let crosvm = files.crosvm(dialect, words);
    let prepared = crosvm.prepare(plan).unwrap();
    let mut lines: Vec<String> = prepared
        .launch
        .arguments()
        .iter()
        .map(|argument| files.named(argument.to_str().unwrap()))
        .collect();
    for number in 0.. {
        let name = format!("composite-{number}.img");
        let Ok(bytes) = fs::read(files.directory().join(&name)) else {
            break;
        };
        lines.push(format!("# {name}: {}", components(&files, &bytes)));
    }
    let text = lines.join("\n") + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/crosvm_arguments")
        .join(list);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(text, wanted, "{list} differs");
}

/// The paths in a composite disk: what they name, in order. Where the paths are is all that is
/// asked here; the crate `composite-disk` checks the format.
fn components(files: &Files, bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .split("/proc/self/fd/")
        .skip(1)
        .map(|rest| {
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            files.name(&rest[..end])
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// What a platform or a build cannot do is refused by the field's name.
pub(crate) fn refused(
    dialect: Dialect,
    words: &str,
    part: &str,
    change: impl FnOnce(&mut Files, &mut Plan),
) {
    let mut files = Files::new();
    let mut plan = files.plan();
    change(&mut files, &mut plan);
    let error = files.crosvm(dialect, words).prepare(plan).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(part), "{text:?} does not contain {part:?}");
}
