// SPDX-License-Identifier: Apache-2.0
//! Contexts of one service, and of the one after it.

use super::*;
use crate::cids::OnThisMachine;
use crate::last_cid::LastCid;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use tempfile::TempDir;

fn start(root: &TempDir) -> Arc<Contexts> {
    let paths = Paths::at(root.path());
    fs::create_dir_all(paths.run()).unwrap();
    let locks = Some(Arc::new(CidLocks::open(root.path()).unwrap()));
    let (last, after) = LastCid::open(&paths).unwrap();
    let elsewhere = OnThisMachine {
        locks: locks.clone(),
    };
    let cids = Cids::new(last, after, Box::new(elsewhere));
    Contexts::take_over(&paths, cids, locks).unwrap()
}

/// The next start, as after a kill: nothing of the one before is undone.
fn restart(root: &TempDir, before: Arc<Contexts>, contexts: Vec<Context>) -> Arc<Contexts> {
    contexts.into_iter().for_each(std::mem::forget);
    std::mem::forget(before);
    start(root)
}

/// The user for whom these tests may make directories, root or not.
fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn hold(context: &Context) -> File {
    let directory = File::open(context.directory()).unwrap();
    flock(&directory, FlockOperation::LockExclusive).unwrap();
    directory
}

#[test]
fn a_context_has_a_directory_while_it_lives() {
    let root = tempfile::tempdir().unwrap();
    let contexts = start(&root);
    let me = rustix::process::geteuid().as_raw();
    let context = contexts.allocate(me, 42, "vm").unwrap();
    let metadata = fs::metadata(context.directory()).unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o700);
    assert_eq!(metadata.uid(), me);
    assert!(
        context
            .directory()
            .ends_with("run/virtualizationservice/vms/2048")
    );
    fs::write(context.directory().join("file"), "x").unwrap();
    context.set_console("/dev/pts/9").unwrap();
    let listed = contexts.list();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].cid, listed[0].uid, listed[0].pid),
        (2048, me, 42)
    );
    assert_eq!(listed[0].console.as_deref(), Some("/dev/pts/9"));
    assert!(listed[0].is_live);
    let path = context.directory().to_owned();
    drop(context);
    assert!(!path.exists());
    assert_eq!(contexts.list(), []);
    assert_eq!(contexts.cids.held(), 0);
    assert_eq!(fs::read_dir(&contexts.notes).unwrap().count(), 0);
}

#[test]
fn what_a_manager_holds_is_left_to_it() {
    let root = tempfile::tempdir().unwrap();
    let contexts = start(&root);
    let (by_directory, by_cid) = (
        contexts
            .allocate(own_uid(), 1, "vm")
            .unwrap_or_else(|e| panic!("{e}")),
        contexts.allocate(own_uid(), 2, "vm").unwrap(),
    );
    let directory = hold(&by_directory);
    let locks = CidLocks::open(root.path()).unwrap();
    let lock = locks.lock(by_cid.cid()).unwrap().unwrap();
    let path = by_directory.directory().to_owned();
    drop(by_directory);
    drop(by_cid);
    let left: Vec<_> = contexts.list();
    assert_eq!(left.iter().map(|vm| vm.pid).collect::<Vec<_>>(), [1, 2]);
    assert!(left.iter().all(|vm| !vm.is_live) && path.exists());
    // Not even when it is their turn again.
    let table = &contexts.cids;
    assert_eq!(table.held(), 2);
    drop(lock);
    assert_eq!(contexts.list().len(), 1);
    drop(directory);
    assert_eq!(contexts.list(), []);
    assert!(!path.exists());
    assert_eq!(table.held(), 0);
}

#[test]
fn vms_live_on_when_the_service_is_killed() {
    if !rustix::process::geteuid().is_root() {
        skip::skip!("only root can give directories to other users");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let first = start(&root);
    let held = first.allocate(1000, 11, "vm").unwrap();
    held.set_console("/dev/pts/1").unwrap();
    let lost = first.allocate(1001, 12, "vm").unwrap();
    let (held_path, lost_path) = (held.directory().to_owned(), lost.directory().to_owned());
    assert_eq!(fs::metadata(&held_path).unwrap().uid(), 1000);
    fs::write(lost_path.join("file"), "x").unwrap();
    let holder = hold(&held);
    let second = restart(&root, first, vec![held, lost]);
    assert!(held_path.exists() && !lost_path.exists());
    let listed = second.list();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].cid, listed[0].uid, listed[0].pid),
        (2048, 1000, 11)
    );
    assert_eq!(listed[0].console.as_deref(), Some("/dev/pts/1"));
    // The next CID is the next one, not that of the VM that is gone.
    let third = second.allocate(1002, 13, "vm").unwrap();
    assert_eq!(third.cid(), 2050);
    // It ends, and a new VM finds out without anyone listing.
    drop(holder);
    drop(second.allocate(0, 14, "vm").unwrap());
    assert!(!held_path.exists());
    assert_eq!(second.list().len(), 1);
}

#[test]
fn a_held_directory_without_a_note_is_its_owners() {
    let root = tempfile::tempdir().unwrap();
    let first = start(&root);
    let context = first
        .allocate(rustix::process::geteuid().as_raw(), 1, "vm")
        .unwrap();
    let cid = context.cid();
    let _holder = hold(&context);
    fs::remove_file(first.notes.join(cid.to_string())).unwrap();
    // Names that are not CIDs, and files, are ignored.
    fs::write(first.notes.join("x"), "").unwrap();
    fs::write(first.vms.join("77"), "").unwrap();
    fs::create_dir(first.vms.join("other")).unwrap();
    let vms = first.vms.clone();
    let second = restart(&root, first, vec![context]);
    assert_eq!(second.list().len(), 1);
    assert_eq!(second.list()[0].cid, cid);
    assert!(!vms.join("77").exists() && vms.join("other").exists());
}

#[test]
fn the_order_of_cids_wraps_around_those_left() {
    let root = tempfile::tempdir().unwrap();
    let first = start(&root);
    let context = first.allocate(own_uid(), 1, "vm").unwrap();
    let holder = hold(&context);
    let state = Paths::at(root.path()).last_cid();
    let second = restart(&root, first, vec![context]);
    fs::write(&state, "65535\n").unwrap();
    let third = restart(&root, second, Vec::new());
    assert_eq!(third.allocate(own_uid(), 2, "vm").unwrap().cid(), 2049);
    drop(holder);
}

#[test]
fn one_user_cannot_take_all() {
    let root = tempfile::tempdir().unwrap();
    let contexts = start(&root);
    contexts.table().users.insert(5, MOST_PER_USER);
    assert!(matches!(
        contexts.allocate(5, 1, "vm"),
        Err(Error::TooMany { uid: 5 })
    ));
    contexts.allocate(own_uid(), 1, "vm").unwrap();
}

#[test]
fn the_end_releases_all_but_what_is_held() {
    let root = tempfile::tempdir().unwrap();
    let contexts = start(&root);
    let me = rustix::process::geteuid().as_raw();
    let held = contexts.allocate(me, 1, "vm").unwrap();
    let other = contexts.allocate(me, 2, "vm").unwrap();
    let _holder = hold(&held);
    contexts.release_all();
    assert!(held.directory().exists() && !other.directory().exists());
    // The objects that go later take nothing of others with them.
    drop(other);
    drop(held);
    assert_eq!(contexts.list().len(), 1);
}
