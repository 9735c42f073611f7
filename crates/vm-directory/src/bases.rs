// SPDX-License-Identifier: Apache-2.0
//! Where the directories of VMs are.
//!
//! | whose VMs | base, below the root directory |
//! | --- | --- |
//! | early VMs | `/mnt/vm/early` |
//! | the global service's, on Android | `/data/misc/virtualizationservice` |
//! | the global service's, elsewhere | `/run/virtualizationservice/vms` |
//! | root's, without the service | `/run/virtmgr` |
//! | a user's, without the service | `$XDG_RUNTIME_DIR/virtmgr`, else `/run/user/UID/virtmgr`, else `/tmp/virtmgr-UID` |

use crate::Directory;
use rustix::fs::{AtFlags, CWD, FileType, Mode, fchmod, mkdirat, statat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Early VMs.
const EARLY: &str = "mnt/vm/early";
/// Those that the global service makes directories for: on Android, and elsewhere.
const OF_SERVICE: [&str; 2] = [
    "data/misc/virtualizationservice",
    "run/virtualizationservice/vms",
];
/// Root's.
const OF_ROOT: &str = "run/virtmgr";
/// Where users have their runtime directories.
const RUNTIME: &str = "run/user";
/// The base in a user's runtime directory.
const IN_RUNTIME: &str = "virtmgr";
/// Users without a runtime directory have one here.
const TEMPORARY: &str = "tmp";
/// The manager's program, by which root finds users' other bases.
const MANAGER: &str = "virtmgr";

/// Why a base cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be made.
    #[error("cannot make directory {}", path.display())]
    Make {
        /// The directory.
        path: PathBuf,
        /// The system error.
        source: io::Error,
    },
    /// Someone else made it.
    #[error(
        "cannot use {} for VMs: it {what}; remove it, or set XDG_RUNTIME_DIR to a directory of your own",
        path.display()
    )]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// The base of early VMs.
#[must_use]
pub fn early(root: &Path) -> PathBuf {
    of_system(root, EARLY)
}

/// The directory `path` below `root`, whose parent may be a link of the system's: an ostree has
/// `/mnt -> var/mnt`. Its last part is no link, which whoever uses it checks.
fn of_system(root: &Path, path: &str) -> PathBuf {
    let path = root.join(path);
    let real = path
        .parent()
        .and_then(|parent| fs::canonicalize(parent).ok());
    match (real, path.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        // Then there is nothing in it.
        _ => path,
    }
}

/// Makes the base of early VMs, which clients of several users share, as they share `/run/lock`: each
/// makes entries, and only an entry's owner removes it (mode 1777).
///
/// # Errors
/// If it cannot be made.
pub fn make_early(root: &Path) -> Result<PathBuf, Error> {
    if let Some(parent) = root.join(EARLY).parent() {
        fs::create_dir_all(parent).map_err(|source| Error::Make {
            path: parent.to_owned(),
            source,
        })?;
    }
    // Only now can links on the way to it be followed.
    let path = early(root);
    let failed = |source: io::Error| Error::Make {
        path: path.clone(),
        source,
    };
    match mkdirat(CWD, &path, Mode::from_raw_mode(0o755)) {
        // By its descriptor, so that nothing that took its place meanwhile is opened to everyone.
        Ok(()) => {
            let made = Directory::open(&path).map_err(failed)?;
            let shared = Mode::from_raw_mode(0o1777);
            fchmod(&made, shared).map_err(|e| failed(e.into()))?;
        }
        Err(Errno::EXIST) => {}
        Err(e) => return Err(failed(e.into())),
    }
    Ok(path)
}

/// The base of this user's VMs without the global service, made if it is not there.
///
/// # Errors
/// If it cannot be made, or is not safe.
pub fn make_own(root: &Path) -> Result<PathBuf, Error> {
    let me = rustix::process::geteuid().as_raw();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR");
    let base = own_of(root, me, runtime.as_deref());
    make(&base, me)?;
    Ok(base)
}

/// The base of this user's VMs without the global service. It need not be there.
#[must_use]
pub fn own(root: &Path) -> PathBuf {
    let me = rustix::process::geteuid().as_raw();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR");
    own_of(root, me, runtime.as_deref())
}

fn own_of(root: &Path, me: u32, runtime: Option<&OsStr>) -> PathBuf {
    if me == 0 {
        return of_system(root, OF_ROOT);
    }
    let given = runtime.filter(|path| !path.is_empty()).map(PathBuf::from);
    let usual = root.join(RUNTIME).join(me.to_string());
    // Whoever owns a runtime directory could replace what is in it, so only the user's own will do:
    // `su` leaves the variable of the user before.
    given
        .into_iter()
        .chain([usual])
        .filter_map(|path| fs::canonicalize(path).ok())
        .find(|path| is_directory_of(path, me).is_ok())
        .map_or_else(|| temporary(root, me), |path| path.join(IN_RUNTIME))
}

/// Makes the base `path` of user `me`, or checks the one that is there.
fn make(path: &Path, me: u32) -> Result<(), Error> {
    let failed = |source: io::Error| Error::Make {
        path: path.to_owned(),
        source,
    };
    if let Some(parent) = path.parent().filter(|_| me == 0) {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    // Others may list root's base; what is in it is closed to them.
    let mode = if me == 0 { 0o755 } else { 0o700 };
    match mkdirat(CWD, path, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(failed(e.into())),
    }
    is_directory_of(path, me).map_err(|what| Error::Unsafe {
        path: path.to_owned(),
        what,
    })
}

/// That `path` is itself a directory that belongs to `me` and that nobody else can write to.
fn is_directory_of(path: &Path, me: u32) -> Result<(), String> {
    let stat = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|e| format!("cannot be read: {}", io::Error::from(e)))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        Err("is not a directory".into())
    } else if stat.st_uid != me {
        Err(format!("belongs to user {}, not to user {me}", stat.st_uid))
    } else if stat.st_mode & 0o022 != 0 {
        Err("can be written by other users".into())
    } else {
        Ok(())
    }
}

/// All bases in which this user may find VMs, but for early ones: the service's, and his own, or, for
/// root, those of all users. Some may not be there.
#[must_use]
pub fn visible(root: &Path) -> Vec<PathBuf> {
    let mut bases: Vec<PathBuf> = OF_SERVICE
        .iter()
        .map(|base| of_system(root, base))
        .collect();
    bases.push(own(root));
    if rustix::process::geteuid().is_root() {
        bases.extend(of_users(root));
        bases.extend(of_managers(root));
    } else {
        // A manager that was started with another environment used another one.
        let me = rustix::process::geteuid().as_raw();
        bases.push(own_of(root, me, None));
        bases.push(temporary(root, me));
    }
    bases.sort();
    bases.dedup();
    bases
}

fn temporary(root: &Path, me: u32) -> PathBuf {
    of_system(root, &format!("{TEMPORARY}/{IN_RUNTIME}-{me}"))
}

/// The usual bases of all users.
fn of_users(root: &Path) -> Vec<PathBuf> {
    let entries = |directory: &str| {
        let read = fs::canonicalize(root.join(directory)).and_then(fs::read_dir);
        read.into_iter().flatten().flatten().map(|e| e.path())
    };
    let runtime = entries(RUNTIME).map(|user| user.join(IN_RUNTIME));
    let prefix = format!("{IN_RUNTIME}-");
    let temporary = entries(TEMPORARY).filter(|path| {
        let name = path.file_name().and_then(OsStr::to_str);
        name.and_then(|name| name.strip_prefix(&prefix))
            .is_some_and(|uid| {
                uid.parse::<u32>()
                    .is_ok_and(|uid| is_directory_of(path, uid).is_ok())
            })
    });
    runtime.chain(temporary).collect()
}

/// The bases of all managers that run with this root directory, by the directories that they have open: a
/// user can have a runtime directory anywhere.
fn of_managers(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let path = process.path();
        let is_manager =
            fs::read(path.join("comm")).is_ok_and(|name| name.trim_ascii() == MANAGER.as_bytes());
        if is_manager && root_of(&path).as_deref() == Some(root) {
            for fd in fs::read_dir(path.join("fd"))
                .into_iter()
                .flatten()
                .flatten()
            {
                let Ok(target) = fs::read_link(fd.path()) else {
                    continue;
                };
                let is_vm = target
                    .file_name()
                    .and_then(OsStr::to_str)
                    .is_some_and(|name| name.parse::<u32>().is_ok());
                if let Some(base) = target
                    .parent()
                    .filter(|base| is_vm && base.ends_with(IN_RUNTIME))
                {
                    found.push(base.to_owned());
                }
            }
        }
    }
    found
}

/// The root directory that the process with this directory in `/proc` was started with.
fn root_of(process: &Path) -> Option<PathBuf> {
    let environment = fs::read(process.join("environ")).ok()?;
    let given = environment
        .split(|byte| *byte == 0)
        .find_map(|variable| variable.strip_prefix(b"VIRTMGR_ROOT="))
        .filter(|root| !root.is_empty());
    match given {
        Some(root) => fs::canonicalize(OsStr::from_bytes(root)).ok(),
        None => Some("/".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    const SOMEONE: u32 = 1234;

    /// A root directory in which `runtime` is user 1234's runtime directory, if the tests may make one.
    fn root_with(runtime: Option<&str>) -> Option<tempfile::TempDir> {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("tmp")).unwrap();
        if let Some(runtime) = runtime {
            let path = root.path().join(runtime);
            fs::create_dir_all(&path).unwrap();
            std::os::unix::fs::chown(&path, Some(SOMEONE), Some(SOMEONE)).ok()?;
        }
        Some(root)
    }

    #[test]
    fn root_has_its_own_whatever_the_environment_says() {
        let root = Path::new("/r");
        assert_eq!(
            own_of(root, 0, Some(OsStr::new("/x"))),
            Path::new("/r/run/virtmgr")
        );
    }

    #[test]
    fn a_runtime_directory_is_used_only_if_it_is_the_users_own() {
        let Some(root) = root_with(Some("given")) else {
            skip::skip!("only root can make a directory of another user");
            return;
        };
        let real = root.path().canonicalize().unwrap();
        let given = root.path().join("given");
        let own = |uid, runtime: Option<&Path>| own_of(&real, uid, runtime.map(Path::as_os_str));
        assert_eq!(own(SOMEONE, Some(&given)), real.join("given/virtmgr"));
        // As `su` leaves it, one that is not there, and none.
        let temporary = real.join("tmp/virtmgr-1235");
        assert_eq!(own(SOMEONE + 1, Some(&given)), temporary);
        assert_eq!(own(SOMEONE + 1, Some(Path::new("/no/such"))), temporary);
        assert_eq!(own(SOMEONE + 1, None), temporary);
        // One that anyone can write to.
        fs::set_permissions(&given, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(own(SOMEONE, Some(&given)), real.join("tmp/virtmgr-1234"));
    }

    #[test]
    fn the_usual_runtime_directory_is_found_without_the_variable() {
        let Some(root) = root_with(Some("run/user/1234")) else {
            skip::skip!("only root can make a directory of another user");
            return;
        };
        let real = root.path().canonicalize().unwrap();
        assert_eq!(
            own_of(&real, SOMEONE, None),
            real.join("run/user/1234/virtmgr")
        );
    }

    #[test]
    fn a_base_of_another_user_or_a_link_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let me = rustix::process::geteuid().as_raw();
        let base = root.path().join("base");
        make(&base, me).unwrap();
        make(&base, me).unwrap();
        let refused = |path: &Path, me| make(path, me).unwrap_err().to_string();
        assert!(refused(&base, me + 1).contains("belongs to user"));
        let link = root.path().join("link");
        symlink(&base, &link).unwrap();
        assert!(refused(&link, me).contains("is not a directory"));
        fs::set_permissions(&base, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(refused(&base, me).contains("written by other users"));
    }

    #[test]
    fn the_early_base_is_for_all_users() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let base = make_early(&root).unwrap();
        let mode = fs::metadata(&base).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o1777);
        // One that the system made stays as it is.
        fs::set_permissions(&base, fs::Permissions::from_mode(0o755)).unwrap();
        make_early(&root).unwrap();
        let mode = fs::metadata(&base).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
    }

    #[test]
    fn links_of_the_system_on_the_way_to_a_base_are_followed() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        for name in ["mnt", "tmp", "run"] {
            fs::create_dir_all(root.join("var").join(name)).unwrap();
            symlink(Path::new("var").join(name), root.join(name)).unwrap();
        }
        let base = make_early(&root).unwrap();
        assert_eq!(base, root.join("var/mnt/vm/early"));
        assert_eq!(base, early(&root));
        Directory::open(&base).unwrap();
        let temporary = temporary(&root, SOMEONE);
        assert_eq!(temporary, root.join("var/tmp/virtmgr-1234"));
        make(&temporary, rustix::process::geteuid().as_raw()).unwrap();
        Directory::open(&temporary).unwrap();
        assert_eq!(own_of(&root, 0, None), root.join("var/run/virtmgr"));
        // A link in the place of a base itself is not followed.
        fs::remove_dir(&base).unwrap();
        symlink("..", &base).unwrap();
        let error = Directory::open(&make_early(&root).unwrap()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::LOOP.raw_os_error()));
    }

    #[test]
    fn a_manager_belongs_to_the_root_directory_that_it_was_started_with() {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().canonicalize().unwrap();
        let start = |root: Option<&Path>| {
            let mut command = std::process::Command::new("sleep");
            command
                .arg("1000")
                .env("SET", "1")
                .env_remove("VIRTMGR_ROOT");
            if let Some(root) = root {
                command.env("VIRTMGR_ROOT", root);
            }
            command.spawn().unwrap()
        };
        for (given, expected) in [(Some(root.path()), &*real), (None, Path::new("/"))] {
            let mut child = start(given);
            let process = Path::new("/proc").join(child.id().to_string());
            // The kernel shows an empty environment until the program is set up.
            while fs::read(process.join("environ")).unwrap().is_empty() {
                std::thread::yield_now();
            }
            let found = root_of(&process);
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(found.as_deref(), Some(expected));
        }
    }
}
