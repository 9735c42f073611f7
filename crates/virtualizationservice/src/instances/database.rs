// SPDX-License-Identifier: Apache-2.0
//! The file of instance ids.

use super::Error;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An id of a VM instance.
pub(crate) type InstanceId = [u8; 64];

/// The most ids of one app.
pub(crate) const MOST_PER_APP: usize = 400;
/// How many are dealt with at once.
pub(crate) const BATCH: usize = 100;
/// The format that is written, kept as SQLite's `user_version`.
const FORMAT: i64 = 1;
/// How user ids are put together from user and app.
const PER_USER: u32 = 100_000;

/// `number` gives the order of creation: it is never used twice.
const SCHEMA: &str = "
    CREATE TABLE instance_ids (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id BLOB NOT NULL UNIQUE CHECK (length(id) = 64),
        user_id INTEGER NOT NULL,
        app_id INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX instance_ids_by_owner ON instance_ids (user_id, app_id, number);
    PRAGMA user_version = 1;
";

/// Whose an id is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The user (of Android: a person or profile).
    pub(crate) user: u32,
    /// The app.
    pub(crate) app: u32,
}

impl Owner {
    /// The owner that the user id `uid` stands for.
    pub(crate) fn of(uid: u32) -> Self {
        Self {
            user: uid / PER_USER,
            app: uid % PER_USER,
        }
    }
}

/// The opened file.
pub(crate) struct Database {
    connection: Mutex<Connection>,
}

type Result<T> = std::result::Result<T, rusqlite::Error>;

impl Database {
    /// Opens the file `path`, making it if it is not there.
    pub(crate) fn open(path: &Path) -> std::result::Result<Self, Error> {
        let file = |what: &str| {
            let what = format!("cannot {what} {}", path.display());
            move |source| Error::File { what, source }
        };
        if let Some(directory) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(file("make the directory of"))?;
        }
        let mut connection = Connection::open(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
            .map_err(file("close to others"))?;
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found > FORMAT {
            return Err(Error::TooNew {
                path: path.display().to_string(),
                found,
                known: FORMAT,
            });
        }
        if found < FORMAT {
            let transaction = connection.transaction()?;
            transaction.execute_batch(SCHEMA)?;
            transaction.commit()?;
        }
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, id: &InstanceId, owner: Owner) -> Result<()> {
        self.connection()
            .prepare("INSERT INTO instance_ids (id, user_id, app_id) VALUES (?, ?, ?)")?
            .execute(params![id, owner.user, owner.app])
            .map(|_| ())
    }

    /// Whose `id` is, if it is known.
    pub(crate) fn owner(&self, id: &InstanceId) -> Result<Option<Owner>> {
        self.connection()
            .prepare("SELECT user_id, app_id FROM instance_ids WHERE id = ?")?
            .query_row(params![id], |row| {
                Ok(Owner {
                    user: row.get(0)?,
                    app: row.get(1)?,
                })
            })
            .optional()
    }

    pub(crate) fn remove(&self, ids: &[InstanceId]) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        for id in ids {
            transaction
                .prepare("DELETE FROM instance_ids WHERE id = ?")?
                .execute(params![id])?;
        }
        transaction.commit()
    }

    /// The oldest ids of an app that must go before it gets another; at most a batch.
    pub(crate) fn too_many(&self, owner: Owner) -> Result<Vec<InstanceId>> {
        let count: i64 = self
            .connection()
            .prepare("SELECT count(*) FROM instance_ids WHERE user_id = ? AND app_id = ?")?
            .query_row(params![owner.user, owner.app], |row| row.get(0))?;
        let count = usize::try_from(count).unwrap_or_default();
        let excess = (count + 1).saturating_sub(MOST_PER_APP).min(BATCH);
        if excess == 0 {
            return Ok(Vec::new());
        }
        self.ids(
            "SELECT id FROM instance_ids WHERE user_id = ? AND app_id = ? ORDER BY number LIMIT ?",
            &[owner.user.into(), owner.app.into(), limit(excess)],
        )
    }

    /// A batch of an app's ids.
    pub(crate) fn of_app(&self, owner: Owner) -> Result<Vec<InstanceId>> {
        self.ids(
            "SELECT id FROM instance_ids WHERE user_id = ? AND app_id = ? LIMIT ?",
            &[owner.user.into(), owner.app.into(), limit(BATCH)],
        )
    }

    /// A batch of a user's ids.
    pub(crate) fn of_user(&self, user: u32) -> Result<Vec<InstanceId>> {
        self.ids(
            "SELECT id FROM instance_ids WHERE user_id = ? LIMIT ?",
            &[user.into(), limit(BATCH)],
        )
    }

    /// A batch of the users that have ids, after the user `after`.
    pub(crate) fn users(&self, after: Option<u32>) -> Result<Vec<u32>> {
        self.numbers(
            "SELECT DISTINCT user_id FROM instance_ids WHERE user_id > ? ORDER BY user_id LIMIT ?",
            &[behind(after), limit(BATCH)],
        )
    }

    /// A batch of the apps of a user that have ids, after the app `after`.
    pub(crate) fn apps(&self, user: u32, after: Option<u32>) -> Result<Vec<u32>> {
        self.numbers(
            "SELECT DISTINCT app_id FROM instance_ids WHERE user_id = ? AND app_id > ? \
             ORDER BY app_id LIMIT ?",
            &[user.into(), behind(after), limit(BATCH)],
        )
    }

    fn ids(&self, query: &str, values: &[Value]) -> Result<Vec<InstanceId>> {
        self.connection()
            .prepare(query)?
            .query_map(params_from_iter(values), |row| row.get(0))?
            .collect()
    }

    fn numbers(&self, query: &str, values: &[Value]) -> Result<Vec<u32>> {
        self.connection()
            .prepare(query)?
            .query_map(params_from_iter(values), |row| row.get(0))?
            .collect()
    }
}

fn limit(count: usize) -> Value {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

fn behind(after: Option<u32>) -> Value {
    Value::Integer(after.map_or(-1, i64::from))
}
