// SPDX-License-Identifier: Apache-2.0
//! Directories that are claimed, held, left and swept.

use super::note::{OWNER, owner_note, start_time};
use super::*;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_cid_is_held_until_its_directory_goes() {
    let base = tempfile::tempdir().unwrap();
    let first = VmDirectory::claim(base.path(), 100, "first", 4711).unwrap();
    assert!(first.path().is_dir());
    let error = VmDirectory::claim(base.path(), 100, "second", 4712).unwrap_err();
    assert_eq!(
        error.to_string(),
        "VM 'first' (CID 100) is already running, started by pid 4711"
    );
    VmDirectory::claim(base.path(), 101, "other", 4712).unwrap();
    drop(first);
    assert!(!base.path().join("100").exists());
    VmDirectory::claim(base.path(), 100, "second", 4712).unwrap();
}

#[test]
fn a_sweep_removes_what_no_one_holds() {
    let base = tempfile::tempdir().unwrap();
    let held = VmDirectory::claim(base.path(), 100, "held", 1).unwrap();
    for (name, note) in [
        ("101", "manager 1 0\n".to_owned()),
        ("102", owner_note("alive", 1)),
        ("other", "manager 1 0\n".to_owned()),
    ] {
        fs::create_dir(base.path().join(name)).unwrap();
        fs::write(base.path().join(name).join(OWNER), note).unwrap();
    }
    fs::create_dir(base.path().join("103")).unwrap();
    sweep(base.path());
    assert!(held.path().join(OWNER).exists());
    assert!(!base.path().join("101").exists());
    // Those of a living manager, just being made, and of someone else stay.
    for name in ["102", "103", "other"] {
        assert!(base.path().join(name).exists(), "{name}");
    }
}

#[test]
fn a_claim_waits_for_a_manager_that_removes_leftovers() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("100");
    fs::create_dir(&path).unwrap();
    fs::write(path.join(OWNER), "manager 1 0\n").unwrap();
    let remover = File::open(&path).unwrap();
    flock(&remover, FlockOperation::LockExclusive).unwrap();
    std::thread::scope(|scope| {
        let claim = scope.spawn(|| VmDirectory::claim(base.path(), 100, "new", 1).map(drop));
        expect_waiter(&remover);
        fs::remove_dir_all(&path).unwrap();
        drop(remover);
        claim.join().unwrap().unwrap();
    });
}

/// Waits until the kernel has someone waiting for the lock of `file`.
fn expect_waiter(file: &File) {
    let inode = format!(":{} ", file.metadata().unwrap().ino());
    let end = Instant::now() + Duration::from_secs(60);
    let is_waiting = || {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        locks
            .lines()
            .any(|line| line.contains("-> FLOCK") && line.contains(&inode))
    };
    while !is_waiting() {
        assert!(Instant::now() < end, "the claim does not wait for the lock");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn leftovers_of_a_killed_manager_are_ended_and_removed() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("100");
    fs::create_dir_all(path.join("sub")).unwrap();
    fs::write(path.join("sub/file"), "x").unwrap();
    let mut orphan = Command::new("sleep")
        .arg("1000")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut bystander = Command::new("sleep")
        .arg("1000")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = i32::try_from(orphan.id()).unwrap();
    let other = i32::try_from(bystander.id()).unwrap();
    let note = format!(
        "process {pid} {}\nprocess {other} 1\n",
        start_time(pid).unwrap()
    );
    fs::write(path.join(OWNER), note).unwrap();
    let directory = VmDirectory::claim(base.path(), 100, "new", 1).unwrap();
    assert!(!directory.path().join("sub").exists());
    assert!(!orphan.wait().unwrap().success());
    assert!(
        bystander.try_wait().unwrap().is_none(),
        "a process with a reused number was killed"
    );
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn a_note_that_is_none_is_not_waited_for() {
    let base = tempfile::tempdir().unwrap();
    let held_one = VmDirectory::claim(base.path(), 100, "held", 1).unwrap();
    fs::create_dir(base.path().join("101")).unwrap();
    let pipe = base.path().join("101").join(OWNER);
    rustix::fs::mknodat(CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
    fs::create_dir(base.path().join("102")).unwrap();
    std::os::unix::fs::symlink(
        held_one.path().join(OWNER),
        base.path().join("102").join(OWNER),
    )
    .unwrap();
    let cids: Vec<u32> = held(base.path()).iter().map(|vm| vm.cid).collect();
    assert_eq!(cids, [100]);
}
