// SPDX-License-Identifier: Apache-2.0
//! Real processes as clients: the executable that the kernel tells, and the one that is declared.
#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use early_vms::{ClientExecutable, EarlyVm, EarlyVms, Error, Partition};
use tempfile::TempDir;

/// A root directory with copies of cat(1) at these paths.
fn root(paths: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for path in paths {
        install(&root.path().join(path));
    }
    root
}

/// Another program makes the copy: were it open for writing here, while another test forks, it could
/// not be executed.
fn install(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let cat = fs::canonicalize("/bin/cat").unwrap();
    let status = Command::new("cp").arg(cat).arg(path).status().unwrap();
    assert!(status.success());
}

/// A running cat(1), which ends with its input.
struct Client(Child);

impl Client {
    fn start(program: &Path) -> Self {
        Self::spawn(&mut Command::new(program)).unwrap()
    }

    /// Waits until it is cat that runs, and no shell before it; `None` if it ends instead.
    fn spawn(command: &mut Command) -> Option<Self> {
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // From here on, it is waited for in any case.
        let mut client = Self(child);
        let stdin = client.0.stdin.as_mut().unwrap();
        stdin.write_all(b"x").ok()?;
        let stdout = client.0.stdout.as_mut().unwrap();
        stdout.read_exact(&mut [0]).ok()?;
        Some(client)
    }

    fn executable(&self, root: &Path) -> Result<ClientExecutable, Error> {
        ClientExecutable::of_process(i32::try_from(self.0.id()).unwrap(), root)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn declared(partition: Partition, path: &str) -> EarlyVm {
    let cid = partition.cids().start().to_owned();
    let text = format!("<early_vms><early_vm name='N' cid='{cid}' path='{path}'/></early_vms>");
    let vms = EarlyVms::parse(text.as_bytes(), Path::new("list"), partition);
    vms.find("N").unwrap().clone()
}

#[test]
fn the_declared_executable_may_create_the_vm() {
    let root = root(&["system/bin/x", "system/bin/y"]);
    let client = Client::start(&root.path().join("system/bin/x"));
    let client = client.executable(root.path()).unwrap();
    assert_eq!(client.path(), Path::new("/system/bin/x"));
    assert_eq!(client.partition().unwrap(), Partition::System);
    let vm = declared(Partition::System, "/system/bin/x");
    vm.check_executable(&client).unwrap();

    for other in [
        "/system/bin/y",
        "/system/bin/gone",
        "/bin/x",
        "/system/bin/x/y",
    ] {
        let error = declared(Partition::System, other)
            .check_executable(&client)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "VM 'N' in partition 'system' must be created with '{other}', not '/system/bin/x'"
            )
        );
    }
}

#[test]
fn one_file_may_have_two_names() {
    for (place, partition) in [
        ("system_ext", Partition::SystemExt),
        ("product", Partition::Product),
    ] {
        let inner = format!("system/{place}/bin/x");
        let root = root(&[&inner, "system/bin/x"]);
        let client = Client::start(&root.path().join(&inner));
        let client = client.executable(root.path()).unwrap();
        assert_eq!(client.partition().unwrap(), partition);
        let long = declared(partition, &format!("/system/{place}/bin/x"));
        let short = declared(partition, &format!("/{place}/bin/x"));
        let plain = declared(partition, "/system/bin/x");
        long.check_executable(&client).unwrap();
        short.check_executable(&client).unwrap();
        assert!(matches!(
            plain.check_executable(&client),
            Err(Error::WrongExecutable { .. })
        ));

        // With a link, as on a device: resolved in this root, not in the machine's.
        std::os::unix::fs::symlink(format!("/system/{place}"), root.path().join(place)).unwrap();
        long.check_executable(&client).unwrap();
        short.check_executable(&client).unwrap();
    }
}

#[test]
fn a_replaced_executable_is_refused() {
    let root = root(&["system/bin/x", "system/bin/new"]);
    let path = root.path().join("system/bin/x");
    let vm = declared(Partition::System, "/system/bin/x");
    let process = Client::start(&path);
    let before = process.executable(root.path()).unwrap();
    vm.check_executable(&before).unwrap();

    fs::rename(root.path().join("system/bin/new"), &path).unwrap();
    let error = vm.check_executable(&before).unwrap_err();
    assert!(matches!(error, Error::ClientReplaced { .. }), "{error}");
    let error = process.executable(root.path()).unwrap_err();
    let wanted = format!(
        "the client's executable '{}' has been deleted or replaced",
        path.display()
    );
    assert!(error.to_string().starts_with(&wanted), "{error}");
}

#[test]
fn a_deleted_executable_is_refused() {
    let root = root(&["system/bin/x"]);
    let path = root.path().join("system/bin/x");
    let vm = declared(Partition::System, "/system/bin/x");
    let process = Client::start(&path);
    let before = process.executable(root.path()).unwrap();
    // Another link keeps the file, so that the count of links does not tell.
    fs::hard_link(&path, root.path().join("system/bin/y")).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(matches!(
        vm.check_executable(&before),
        Err(Error::ClientReplaced { .. })
    ));
    assert!(matches!(
        process.executable(root.path()),
        Err(Error::ClientDeleted { .. })
    ));
    // Somebody leaves a file where the kernel's text leads.
    install(&root.path().join("system/bin/x (deleted)"));
    assert!(matches!(
        process.executable(root.path()),
        Err(Error::ClientDeleted { .. })
    ));
}

#[test]
fn a_name_that_ends_like_a_deleted_one_is_none() {
    let root = root(&["system/bin/x (deleted)"]);
    let process = Client::start(&root.path().join("system/bin/x (deleted)"));
    let client = process.executable(root.path()).unwrap();
    assert_eq!(client.path(), Path::new("/system/bin/x (deleted)"));
    declared(Partition::System, "/system/bin/x (deleted)")
        .check_executable(&client)
        .unwrap();
}

#[test]
fn another_mount_namespace_deceives_nobody() {
    let root = root(&["system/bin/x", "tmp/evil"]);
    let path = root.path().join("system/bin/x");
    let script = "mount --bind \"$1\" \"$2\" 2>/dev/null && exec \"$2\"";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .args([&root.path().join("tmp/evil"), &path])
        .stderr(Stdio::null());
    let Some(process) = Client::spawn(&mut command) else {
        skip::skip!("unshare --mount and mount --bind need root");
        return;
    };
    // To the kernel, the client is the declared path.
    let link = fs::read_link(format!("/proc/{}/exe", process.0.id())).unwrap();
    assert_eq!(link, fs::canonicalize(&path).unwrap());
    let error = process.executable(root.path()).unwrap_err();
    assert!(matches!(error, Error::ClientHidden { .. }), "{error}");
}

#[test]
fn the_root_may_be_called_otherwise() {
    let root = root(&["vendor/bin/x"]);
    let process = Client::start(&root.path().join("vendor/bin/x"));
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("root");
    std::os::unix::fs::symlink(root.path(), &link).unwrap();
    assert_eq!(
        process.executable(&link).unwrap().path(),
        Path::new("/vendor/bin/x")
    );

    let elsewhere = tempfile::tempdir().unwrap();
    let error = process.executable(elsewhere.path()).unwrap_err();
    assert!(matches!(error, Error::ClientOutsideRoot { .. }), "{error}");
}

#[test]
fn a_process_that_is_gone_has_no_executable() {
    let mut child = Command::new("true").spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    child.wait().unwrap();
    let error = ClientExecutable::of_process(pid, Path::new("/")).unwrap_err();
    assert!(matches!(error, Error::ClientUnreadable { .. }), "{error}");
}
