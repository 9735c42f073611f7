// SPDX-License-Identifier: Apache-2.0
//! Locks between descriptors, processes and users.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail like this, also in what it calls"
)]

use cid::{CidLocks, Error, FILE};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// Set for a process of this test program that holds a CID: the root directory and the CID.
const HOLD: &str = "CID_LOCK_TEST_HOLD";

/// Not a test: what the child processes of the others run.
#[test]
fn holder() {
    let Ok(order) = std::env::var(HOLD) else {
        return;
    };
    let (root, cid) = order.rsplit_once(' ').unwrap();
    let locks = CidLocks::open(Path::new(root)).unwrap();
    let lock = locks.lock(cid.parse().unwrap()).unwrap();
    println!("\nholder: {}", lock.is_some());
    std::io::stdout().flush().unwrap();
    // Until the parent closes the pipe, or kills this.
    let _ = std::io::stdin().read_line(&mut String::new());
}

struct Holder {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Holder {
    fn start(root: &Path, cid: u32, uid: u32) -> Self {
        let mut command = Command::new("/proc/self/exe");
        command
            .args(["--exact", "holder", "--nocapture"])
            .env(HOLD, format!("{} {cid}", root.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if uid != 0 {
            command.uid(uid).gid(uid);
        }
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// Whether it has the lock.
    fn has_it(&mut self) -> bool {
        for line in (&mut self.output).lines() {
            if let Some(answer) = line.unwrap().strip_prefix("holder: ") {
                return answer == "true";
            }
        }
        panic!("the holder ended without an answer");
    }
}

#[test]
fn one_holder_at_a_time_in_one_process() {
    let root = tempfile::tempdir().unwrap();
    let locks = CidLocks::open(root.path()).unwrap();
    assert!(!locks.is_locked(2048).unwrap());
    let lock = locks.lock(2048).unwrap().unwrap();
    assert_eq!(lock.cid(), 2048);
    assert!(locks.lock(2048).unwrap().is_none());
    assert!(locks.is_locked(2048).unwrap());
    // The question did not release the lock, as it would with classic locks.
    drop(CidLocks::open(root.path()).unwrap());
    assert!(locks.is_locked(2048).unwrap());
    // Its neighbours and the ends of the range are others.
    for cid in [2047, 2049, 0, u32::MAX] {
        assert!(locks.lock(cid).unwrap().is_some(), "{cid}");
    }
    drop(lock);
    assert!(!locks.is_locked(2048).unwrap());
    assert!(locks.lock(2048).unwrap().is_some());
}

#[test]
fn a_lock_ends_with_its_process() {
    let root = tempfile::tempdir().unwrap();
    let locks = CidLocks::open(root.path()).unwrap();
    let mut holder = Holder::start(root.path(), 3000, 0);
    assert!(holder.has_it());
    assert!(locks.is_locked(3000).unwrap());
    assert!(locks.lock(3000).unwrap().is_none());
    let mut second = Holder::start(root.path(), 3000, 0);
    assert!(!second.has_it());
    second.child.kill().unwrap();
    second.child.wait().unwrap();
    assert!(locks.is_locked(3000).unwrap());
    holder.child.kill().unwrap();
    holder.child.wait().unwrap();
    assert!(!locks.is_locked(3000).unwrap());
    assert!(locks.lock(3000).unwrap().is_some());
}

#[test]
fn many_processes_make_the_file_at_once_and_one_gets_the_lock() {
    for _ in 0..4 {
        let root = tempfile::tempdir().unwrap();
        let mut holders: Vec<_> = (0..6)
            .map(|_| Holder::start(root.path(), 2100, 0))
            .collect();
        let winners = holders.iter_mut().filter_map(|h| h.has_it().then_some(()));
        assert_eq!(winners.count(), 1);
        for mut holder in holders {
            drop(holder.child.stdin.take());
            assert!(holder.child.wait().unwrap().success());
        }
    }
}

#[test]
fn all_users_can() {
    if !rustix::process::geteuid().is_root() {
        skip::skip!("only root can run processes of other users");
        return;
    }
    // Not below a directory that is closed to others.
    let root = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
    let locks = CidLocks::open(root.path()).unwrap();
    let mode = fs::metadata(root.path().join(FILE)).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o666);
    let directory = fs::metadata(root.path().join("run/lock")).unwrap().mode();
    assert_eq!(directory & 0o7777, 0o1777);
    let mut holder = Holder::start(root.path(), 4000, 65534);
    assert!(holder.has_it());
    assert!(locks.lock(4000).unwrap().is_none());
    drop(holder.child.stdin.take());
    holder.child.wait().unwrap();
    // The other way round: the file is another user's, in a sticky directory.
    fs::remove_file(root.path().join(FILE)).unwrap();
    let mut holder = Holder::start(root.path(), 4000, 65534);
    assert!(holder.has_it());
    let locks = CidLocks::open(root.path()).unwrap();
    assert!(locks.lock(4000).unwrap().is_none());
    drop(holder.child.stdin.take());
    holder.child.wait().unwrap();
}

#[test]
fn what_is_no_file_is_refused() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("run/lock")).unwrap();
    let path = root.path().join(FILE);
    symlink("/dev/null", &path).unwrap();
    let error = CidLocks::open(root.path()).unwrap_err();
    // The remedy is the last.
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.ends_with("; a symbolic link is there: remove it"),
        "{cause}"
    );
    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let error = CidLocks::open(root.path()).unwrap_err();
    assert!(matches!(error, Error::NotAFile { .. }), "{error}");
    assert!(error.to_string().contains("avf-cids"), "{error}");
}
