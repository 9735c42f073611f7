// SPDX-License-Identifier: Apache-2.0
//! Groups, the file that names them, and real processes of another user.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail like this, also in what it calls"
)]

use permissions::{Authority, Caller, Error, FILE, Permission, Policy};
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A root directory with groups, and with this file of permissions.
fn root(file: Option<&str>) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("etc/avf")).unwrap();
    fs::write(
        root.path().join("etc/group"),
        "root:x:0:\nkvm:x:104:someone\nadm:x:4:\nbroken\n",
    )
    .unwrap();
    fs::write(
        root.path().join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/:/bin/sh\n",
    )
    .unwrap();
    if let Some(text) = file {
        fs::write(root.path().join(FILE), text).unwrap();
    }
    root
}

#[test]
fn by_default_the_group_kvm_has_all() {
    let root = root(None);
    let policy = Policy::load(root.path()).unwrap();
    for permission in Permission::ALL {
        policy.check(permission, 0, &[]).unwrap();
        policy.check(permission, 1000, &[100, 104]).unwrap();
        let denied = policy.check(permission, 1000, &[100]).unwrap_err();
        let text = denied.to_string();
        for part in [
            "user 1000 (ann)",
            permission.android_name(),
            "usermod -aG kvm ann",
            permission.key(),
            FILE,
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

#[test]
fn every_user_may_run_own_vms_unless_the_file_says_otherwise() {
    let open = root(None);
    let policy = Policy::of_managers(open.path()).unwrap();
    let may = |policy: &Policy, permission| policy.check(permission, 1000, &[100]).is_ok();
    assert!(may(&policy, Permission::Manage) && may(&policy, Permission::Custom));
    assert!(!may(&policy, Permission::Dump) && !may(&policy, Permission::Internet));
    let strict = root(Some(r#"{"manage": ["kvm"], "custom": []}"#));
    let policy = Policy::of_managers(strict.path()).unwrap();
    assert!(!may(&policy, Permission::Manage) && !may(&policy, Permission::Custom));
    policy.check(Permission::Manage, 1000, &[104]).unwrap();
}

#[test]
fn without_such_a_group_only_root_has_any() {
    let root = tempfile::tempdir().unwrap();
    let policy = Policy::load(root.path()).unwrap();
    policy.check(Permission::Manage, 0, &[]).unwrap();
    let denied = policy.check(Permission::Manage, 5, &[104]).unwrap_err();
    assert!(denied.remedy.contains("does not exist"), "{denied}");
}

#[test]
fn the_file_names_groups() {
    let root = root(Some(
        r#"{"manage": ["adm", "kvm"], "custom": ["5001", 5002], "dump": [], "internet": ["gone"]}"#,
    ));
    let policy = Policy::load(root.path()).unwrap();
    let may = |permission, group| policy.check(permission, 1000, &[group]).is_ok();
    assert!(may(Permission::Manage, 4) && may(Permission::Manage, 104));
    assert!(may(Permission::Custom, 5001) && may(Permission::Custom, 5002));
    assert!(!may(Permission::Custom, 104));
    assert!(!may(Permission::Dump, 104));
    let denied = policy.check(Permission::Dump, 1000, &[104]).unwrap_err();
    assert!(denied.remedy.contains("only root"), "{denied}");
    let denied = policy.check(Permission::Internet, 7, &[104]).unwrap_err();
    assert!(
        denied.remedy.contains("gone, which does not exist"),
        "{denied}"
    );
}

#[test]
fn faults_of_the_file_are_named() {
    for (text, part) in [
        ("{", "not valid JSON"),
        ("[]", "must be an object"),
        (r#"{"mange": []}"#, "nearest known key is `manage`"),
        (r#"{"Internet": []}"#, "nearest known key is `internet`"),
        (r#"{"dump": "kvm"}"#, "`dump` must be a list"),
        (r#"{"dump": ["kvm", true]}"#, "`dump[1]` must be the name"),
        (r#"{"dump": [-1]}"#, "`dump[0]` must be the name"),
        (r#"{"dump": [4294967296]}"#, "`dump[0]` must be the name"),
        (r#"{"dump": [""]}"#, "`dump[0]` must be the name"),
    ] {
        let root = root(Some(text));
        let error = Policy::load(root.path()).unwrap_err().to_string();
        assert!(
            error.contains(part) && error.contains(FILE),
            "{text}: {error}"
        );
    }
    let root = root(None);
    fs::create_dir(root.path().join(FILE)).unwrap();
    assert!(matches!(Policy::load(root.path()), Err(Error::Read { .. })));
}

#[test]
fn the_groups_of_another_users_process() {
    if !rustix::process::geteuid().is_root() {
        skip::skip!("only root can run processes of other users");
        return;
    }
    let root = root(None);
    let policy = Policy::load(root.path()).unwrap();
    for (gid, is_allowed) in [(104, true), (100, false)] {
        let mut child = Command::new("cat")
            .uid(1000)
            .gid(gid)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let caller = Caller {
            uid: 1000,
            pid: i32::try_from(child.id()).unwrap(),
        };
        let answer = Authority::check(&policy, Permission::Manage, &caller);
        assert_eq!(answer.is_ok(), is_allowed, "{answer:?}");
        // The number is believed only together with the user.
        let liar = Caller {
            uid: 1001,
            ..caller
        };
        Authority::check(&policy, Permission::Manage, &liar).unwrap_err();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
