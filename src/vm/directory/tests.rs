// SPDX-License-Identifier: Apache-2.0
//! Directories that are claimed, held, left and swept.

use super::*;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use vm_directory::{OWNER, VmState, boot_id};

/// A note of a manager that does not live: no process starts so late.
const DEAD: &str = "manager 1 18446744073709551615\n";

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
        ("101", DEAD.to_owned()),
        ("102", format!("manager {}\n", Process::this())),
        ("other", DEAD.to_owned()),
    ] {
        fs::create_dir(base.path().join(name)).unwrap();
        fs::write(base.path().join(name).join(OWNER), note).unwrap();
    }
    fs::create_dir(base.path().join("103")).unwrap();
    sweep(base.path());
    assert!(held.path().join(OWNER).exists());
    assert!(!base.path().join("101").exists());
    // Directories of a living manager, of one that is starting, and of another user stay.
    for name in ["102", "103", "other"] {
        assert!(base.path().join(name).exists(), "{name}");
    }
}

#[test]
fn a_claim_waits_for_a_manager_that_removes_leftovers() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("100");
    fs::create_dir(&path).unwrap();
    fs::write(path.join(OWNER), DEAD).unwrap();
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

#[test]
fn neither_the_note_nor_the_lock_of_another_user_counts() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("100");
    // Of a manager that lives, of one that does not, which a claim would wait for, and none.
    for note in [
        Some(format!("manager {}\n", Process::this())),
        Some(DEAD.to_owned()),
        None,
    ] {
        fs::create_dir(&path).unwrap();
        if let Some(note) = note {
            fs::write(path.join(OWNER), note).unwrap();
        }
        if std::os::unix::fs::chown(&path, Some(1234), Some(1234)).is_err() {
            skip::skip!("only root can make a directory of another user");
            return;
        }
        let holder = File::open(&path).unwrap();
        flock(&holder, FlockOperation::LockExclusive).unwrap();
        let error = VmDirectory::claim(base.path(), 100, "new", 1).unwrap_err();
        assert!(
            matches!(error, Error::Foreign { owner: 1234, .. }),
            "{error}"
        );
        let me = rustix::process::geteuid().as_raw();
        let expected = format!(
            "cannot use {}: it belongs to user 1234, not to user {me}; stop the VM of user 1234, or remove \
             the directory if none runs",
            path.display()
        );
        assert_eq!(error.to_string(), expected);
        fs::remove_dir_all(&path).unwrap();
    }
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
    let of_orphan = Process::of_pid(pid).unwrap();
    let note = format!("process {other} 1\nvmm {of_orphan} qemu\n");
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

/// A shell that leads a process group, and the numbers of processes that it has printed.
fn group_leader(script: &str, numbers: usize) -> (std::process::Child, Vec<i32>) {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::CommandExt;
    let mut shell = Command::new("sh")
        .args(["-c", script])
        .process_group(0)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(shell.stdout.take().unwrap()).lines();
    let numbers = lines
        .take(numbers)
        .map(|line| line.unwrap().parse().unwrap());
    let numbers = numbers.collect();
    (shell, numbers)
}

#[test]
fn a_supervisor_may_end_itself_and_is_else_killed_with_its_group() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("100");
    fs::create_dir(&path).unwrap();
    let (mut ending, _) = group_leader("echo 1; sleep 1; exit 7", 1);
    let (mut staying, started) = group_leader("sleep 1000 & echo $!; wait", 1);
    let of =
        |child: &std::process::Child| Process::of_pid(i32::try_from(child.id()).unwrap()).unwrap();
    let started = rustix::process::Pid::from_raw(started[0]).unwrap();
    let flags = rustix::process::PidfdFlags::empty();
    let started = rustix::process::pidfd_open(started, flags).unwrap();
    let note = format!("process {}\nvmm {} qemu\n", of(&ending), of(&staying));
    fs::write(path.join(OWNER), note).unwrap();
    drop(VmDirectory::claim(base.path(), 100, "new", 1).unwrap());
    assert_eq!(ending.wait().unwrap().code(), Some(7), "it was killed");
    assert_eq!(staying.wait().unwrap().code(), None);
    let minute = rustix::event::Timespec {
        tv_sec: 60,
        tv_nsec: 0,
    };
    let ended = rustix::event::PollFlags::IN;
    let mut fds = [rustix::event::PollFd::new(&started, ended)];
    let count = rustix::event::poll(&mut fds, Some(&minute)).unwrap();
    assert_eq!(count, 1, "what the script has started still runs");
}

#[test]
fn a_killed_manager_that_nobody_waits_for_is_dead() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("100");
    fs::create_dir(&path).unwrap();
    let mut manager = Command::new("sleep").arg("1000").spawn().unwrap();
    let process = Process::of_pid(i32::try_from(manager.id()).unwrap()).unwrap();
    fs::write(path.join(OWNER), format!("manager {process}\n")).unwrap();
    sweep(base.path());
    assert!(path.exists(), "the manager lives");
    manager.kill().unwrap();
    let pid = rustix::process::Pid::from_child(&manager);
    let fd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    let ended = rustix::event::PollFlags::IN;
    rustix::event::poll(&mut [rustix::event::PollFd::new(&fd, ended)], None).unwrap();
    // It is a zombie now.
    sweep(base.path());
    assert!(!path.exists());
    manager.wait().unwrap();
}

#[test]
fn what_an_earlier_boot_left_is_removed_and_no_process_killed() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("100");
    fs::create_dir(&path).unwrap();
    let me = Process::this();
    let note = format!("boot 0-0\nmanager {me}\nprocess {me}\n");
    fs::write(path.join(OWNER), note).unwrap();
    sweep(base.path());
    assert!(!path.exists());
    assert_ne!(boot_id().as_deref(), Some("0-0"));
}

#[test]
fn a_note_is_written_in_the_directory_that_is_held() {
    let base = tempfile::tempdir().unwrap();
    let held = VmDirectory::claim(base.path(), 100, "held", 1).unwrap();
    // Someone puts another directory in its place.
    let moved = base.path().join("moved");
    fs::rename(held.path(), &moved).unwrap();
    fs::create_dir(held.path()).unwrap();
    held.note_vmm(Process::this().pid, "QEMU").unwrap();
    assert_eq!(fs::read_dir(held.path()).unwrap().count(), 0);
    let note = Note::read(&Directory::open(&moved.canonicalize().unwrap()).unwrap()).unwrap();
    assert_eq!(note.vmm.unwrap().kind, "qemu");
    note_in(
        &moved.canonicalize().unwrap(),
        &Line::State(VmState::Paused),
    )
    .unwrap();
}
