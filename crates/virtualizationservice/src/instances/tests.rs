// SPDX-License-Identifier: Apache-2.0
//! The rules of instance ids, with the real database.

use super::database::{BATCH, MOST_PER_APP};
use super::*;
use rsbinder::{BinderResult, Interface};
use std::path::Path;
use std::sync::Mutex;

const APP: u32 = 10_001;

fn open(directory: &Path) -> Instances {
    let database = Database::open(&directory.join("sub/vmdb.sqlite")).unwrap();
    Instances::new(Some(database), SecretStore::none())
}

fn owner(instances: &Instances, id: &InstanceId) -> Option<Owner> {
    instances.database.as_ref().unwrap().owner(id).unwrap()
}

#[test]
fn ids_of_apps_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let instances = open(directory.path());
    let uid = 10 * 100_000 + APP;
    let (one, two) = (
        instances.allocate(uid).unwrap(),
        instances.allocate(uid).unwrap(),
    );
    assert_ne!(one, two);
    assert_ne!(one, [0; 64]);
    drop(instances);
    let instances = open(directory.path());
    assert_eq!(owner(&instances, &one), Some(Owner { user: 10, app: APP }));
    // The system's own users do not get removed, so theirs are not kept.
    let system = instances.allocate(100_000 + 9_999).unwrap();
    assert_eq!(owner(&instances, &system), None);
}

#[test]
fn nothing_is_kept_where_there_is_no_store_of_secrets() {
    let instances = Instances::new(None, SecretStore::none());
    let id = instances.allocate(APP).unwrap();
    instances.claim(&id, APP).unwrap();
    // Had one of them noted whose the id is, another app could not claim it.
    instances.claim(&id, APP + 1).unwrap();
    instances.remove(&id, APP).unwrap();
    instances.user_removed(0).unwrap();
    // The same calls with a database: there the id is the first app's.
    let directory = tempfile::tempdir().unwrap();
    let keeping = open(directory.path());
    keeping.claim(&id, APP).unwrap();
    assert!(matches!(keeping.claim(&id, APP + 1), Err(Error::Foreign)));
}

#[test]
fn the_oldest_make_room() {
    let directory = tempfile::tempdir().unwrap();
    let instances = open(directory.path());
    let database = instances.database.as_ref().unwrap();
    let other = instances.allocate(APP + 1).unwrap();
    let ids: Vec<_> = (0..MOST_PER_APP)
        .map(|_| instances.allocate(APP).unwrap())
        .collect();
    assert!(database.too_many(Owner::of(APP)).unwrap() == [ids[0]]);
    instances.remove(&ids[5], APP).unwrap();
    let back = instances.allocate(APP).unwrap();
    assert!(owner(&instances, &ids[0]).is_some());
    let next = instances.allocate(APP).unwrap();
    assert!(owner(&instances, &ids[0]).is_none());
    assert!(owner(&instances, &ids[1]).is_some());
    for id in [back, next, other] {
        assert!(owner(&instances, &id).is_some());
    }
    let count = database_count(directory.path());
    assert_eq!(count, MOST_PER_APP + 1);
}

fn database_count(directory: &Path) -> usize {
    let count: i64 = rusqlite::Connection::open(directory.join("sub/vmdb.sqlite"))
        .unwrap()
        .query_row("SELECT count(*) FROM instance_ids", [], |row| row.get(0))
        .unwrap();
    usize::try_from(count).unwrap()
}

#[test]
fn only_the_owner_removes_and_claims() {
    let directory = tempfile::tempdir().unwrap();
    let instances = open(directory.path());
    let id = instances.allocate(APP).unwrap();
    // Another app, and the same app of another user.
    for stranger in [APP + 1, 100_000 + APP, 0] {
        instances.remove(&id, stranger).unwrap();
        assert!(owner(&instances, &id).is_some(), "{stranger}");
        assert!(matches!(
            instances.claim(&id, stranger),
            Err(Error::Foreign)
        ));
    }
    instances.claim(&id, APP).unwrap();
    instances.remove(&id, APP).unwrap();
    assert_eq!(owner(&instances, &id), None);
    // Restored from a backup, say.
    instances.claim(&id, APP + 1).unwrap();
    assert_eq!(owner(&instances, &id), Some(Owner::of(APP + 1)));
}

#[test]
fn removal_goes_in_batches() {
    let directory = tempfile::tempdir().unwrap();
    let instances = open(directory.path());
    for _ in 0..250 {
        instances.allocate(APP).unwrap();
    }
    for uid in [APP + 1, 100_000 + APP, 100_000 + APP + 1] {
        instances.allocate(uid).unwrap();
    }
    let database = instances.database.as_ref().unwrap();
    assert_eq!(database.of_app(Owner::of(APP)).unwrap().len(), BATCH);
    instances.app_removed(Owner::of(APP)).unwrap();
    assert_eq!(database_count(directory.path()), 3);
    instances.user_removed(1).unwrap();
    assert_eq!(database_count(directory.path()), 1);
}

/// Knows which users and apps exist, and notes what it was asked.
#[derive(Default)]
struct System {
    users: Vec<i32>,
    apps: Vec<(i32, i32)>,
    asked: Mutex<Vec<usize>>,
    stop: bool,
    wrong: bool,
}

impl Interface for System {}

impl IVirtualizationReconciliationCallback for System {
    fn doUsersExist(&self, users: &[i32]) -> BinderResult<Vec<bool>> {
        if self.stop {
            return Err(Status::new_service_specific_error(1, None));
        }
        self.asked.lock().unwrap().push(users.len());
        let mut answers: Vec<bool> = users.iter().map(|u| self.users.contains(u)).collect();
        if self.wrong {
            answers.pop();
        }
        Ok(answers)
    }

    fn doAppsExist(&self, user: i32, apps: &[i32]) -> BinderResult<Vec<bool>> {
        self.asked.lock().unwrap().push(apps.len());
        Ok(apps
            .iter()
            .map(|app| self.apps.contains(&(user, *app)))
            .collect())
    }
}

#[test]
fn reconciliation_removes_what_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let instances = open(directory.path());
    let id = |user: u32, app: u32| instances.allocate(user * 100_000 + app).unwrap();
    let kept = id(0, APP);
    let apps: Vec<_> = (0..150).map(|n| id(0, APP + 1 + n)).collect();
    let users: Vec<_> = (1..=120).map(|user| id(user, APP)).collect();
    let system = System {
        users: vec![0, 7],
        apps: vec![(0, 10_001), (0, 10_151), (7, 10_001)],
        ..System::default()
    };
    instances.reconcile(&system).unwrap();
    assert!(owner(&instances, &kept).is_some());
    for (number, app) in apps.iter().enumerate() {
        assert_eq!(owner(&instances, app).is_some(), number == 149, "{number}");
    }
    for (number, user) in users.iter().enumerate() {
        assert_eq!(owner(&instances, user).is_some(), number == 6, "{number}");
    }
    let asked = system.asked.into_inner().unwrap();
    assert_eq!(asked, [100, 100, 51, 1, 21]);
}

#[test]
fn reconciliation_stops_when_told_or_answered_wrongly() {
    let directory = tempfile::tempdir().unwrap();
    let instances = open(directory.path());
    let id = instances.allocate(APP).unwrap();
    let stopping = System {
        stop: true,
        ..System::default()
    };
    let Err(Error::Caller(status)) = instances.reconcile(&stopping) else {
        panic!("not stopped");
    };
    assert_eq!(status.service_specific_error(), 1);
    let wrong = System {
        wrong: true,
        ..System::default()
    };
    let error = instances.reconcile(&wrong).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Answers {
                asked: 1,
                answered: 0
            }
        ),
        "{error}"
    );
    assert!(owner(&instances, &id).is_some());
}

#[test]
fn a_newer_format_and_a_damaged_file_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let path = directory.path().join("sub/vmdb.sqlite");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA user_version = 9").unwrap();
    drop(connection);
    let Err(error) = Database::open(&path) else {
        panic!("a newer format was taken");
    };
    assert!(error.to_string().contains("its format is 9"), "{error}");
    std::fs::write(
        &path,
        "no database, but long enough to have a header of one, or what",
    )
    .unwrap();
    assert!(matches!(Database::open(&path), Err(Error::Database(_))));
}
