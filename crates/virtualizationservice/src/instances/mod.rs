// SPDX-License-Identifier: Apache-2.0
//! Ids of VM instances, and whose they are, so that the secrets of VMs go with the apps that had them.

mod database;

pub(crate) use database::{Database, InstanceId, Owner};

use crate::hal::SecretStore;
use avf_aidl::maintenance::IVirtualizationReconciliationCallback;
use rsbinder::Status;
use std::io;

/// Ids of apps begin here; those of the system's own users are never removed.
const FIRST_APP: u32 = 10_000;

/// Why ids cannot be dealt with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The database failed.
    #[error("cannot use the database of instance ids")]
    Database(#[from] rusqlite::Error),
    /// Its file cannot be opened.
    #[error("{what}")]
    File {
        /// What was being done, to which file.
        what: String,
        /// The system error.
        source: io::Error,
    },
    /// It was made by a newer service.
    #[error(
        "{path}: its format is {found}, this service knows up to {known}: move it away, or run the service that made it"
    )]
    TooNew {
        /// The file.
        path: String,
        /// Its format.
        found: i64,
        /// The newest known.
        known: i64,
    },
    /// The kernel gives no random bytes.
    #[error("cannot get random bytes")]
    Random(#[source] io::Error),
    /// The store of secrets failed.
    #[error("cannot use Secretkeeper")]
    Secrets(#[source] Status),
    /// The id is another's.
    #[error("the instance id belongs to another app")]
    Foreign,
    /// The caller's answers do not fit its questions.
    #[error("reconciliation: {asked} questions, {answered} answers")]
    Answers {
        /// How many were asked.
        asked: usize,
        /// How many came back.
        answered: usize,
    },
    /// The caller failed, or wants to stop.
    #[error("reconciliation: the caller failed")]
    Caller(#[source] Status),
}

/// The ids of this machine.
pub(crate) struct Instances {
    /// None where ids are not noted.
    database: Option<Database>,
    secrets: SecretStore,
}

impl Instances {
    pub(crate) fn new(database: Option<Database>, secrets: SecretStore) -> Self {
        Self { database, secrets }
    }

    /// A new id: 64 random bytes. It is noted for the app, if that is one; its oldest ids make room.
    pub(crate) fn allocate(&self, uid: u32) -> Result<InstanceId, Error> {
        let mut id = [0; 64];
        getrandom::fill(&mut id).map_err(|e| Error::Random(e.into()))?;
        self.note(&id, Owner::of(uid))?;
        Ok(id)
    }

    fn note(&self, id: &InstanceId, owner: Owner) -> Result<(), Error> {
        let Some(database) = self.database.as_ref().filter(|_| owner.app >= FIRST_APP) else {
            return Ok(());
        };
        loop {
            let oldest = database.too_many(owner)?;
            if oldest.is_empty() {
                return Ok(database.add(id, owner)?);
            }
            self.forget(database, &oldest)?;
        }
    }

    /// Removes the caller's `id` and its secrets. Ids of others, and unknown ids, stay.
    pub(crate) fn remove(&self, id: &InstanceId, uid: u32) -> Result<(), Error> {
        let Some(database) = &self.database else {
            return Ok(());
        };
        match database.owner(id)? {
            Some(owner) if owner == Owner::of(uid) => self.forget(database, &[*id]),
            Some(_) => {
                log::warn!("user {uid} wants an instance id removed that is not its own: it stays");
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Notes that `id`, which was restored from elsewhere, is the caller's.
    pub(crate) fn claim(&self, id: &InstanceId, uid: u32) -> Result<(), Error> {
        let Some(database) = &self.database else {
            return Ok(());
        };
        match database.owner(id)? {
            Some(owner) if owner == Owner::of(uid) => Ok(()),
            Some(_) => Err(Error::Foreign),
            None => self.note(id, Owner::of(uid)),
        }
    }

    /// Removes secrets first: an id that is still noted can be removed again.
    fn forget(&self, database: &Database, ids: &[InstanceId]) -> Result<(), Error> {
        self.secrets.delete(ids).map_err(Error::Secrets)?;
        Ok(database.remove(ids)?)
    }

    /// Removes all ids of an app.
    pub(crate) fn app_removed(&self, owner: Owner) -> Result<(), Error> {
        self.remove_all(|database| database.of_app(owner))
    }

    /// Removes all ids of a user.
    pub(crate) fn user_removed(&self, user: u32) -> Result<(), Error> {
        self.remove_all(|database| database.of_user(user))
    }

    /// Removes what `next` finds, batch by batch.
    fn remove_all(
        &self,
        next: impl Fn(&Database) -> Result<Vec<InstanceId>, rusqlite::Error>,
    ) -> Result<(), Error> {
        let Some(database) = &self.database else {
            return Ok(());
        };
        loop {
            let batch = next(database)?;
            if batch.is_empty() {
                return Ok(());
            }
            self.forget(database, &batch)?;
        }
    }

    /// Removes the ids of users and apps that do not exist any more, as `callback` knows.
    pub(crate) fn reconcile(
        &self,
        callback: &dyn IVirtualizationReconciliationCallback,
    ) -> Result<(), Error> {
        let Some(database) = &self.database else {
            return Ok(());
        };
        let mut after = None;
        loop {
            let users = database.users(after)?;
            let Some(last) = users.last() else {
                return Ok(());
            };
            after = Some(*last);
            let numbers = signed(&users);
            let exist = callback.doUsersExist(&numbers).map_err(Error::Caller)?;
            for (user, exists) in users.iter().zip(answers(&users, &exist)?) {
                if *exists {
                    self.reconcile_user(database, *user, callback)?;
                } else {
                    self.user_removed(*user)?;
                }
            }
        }
    }

    fn reconcile_user(
        &self,
        database: &Database,
        user: u32,
        callback: &dyn IVirtualizationReconciliationCallback,
    ) -> Result<(), Error> {
        let mut after = None;
        loop {
            let apps = database.apps(user, after)?;
            let Some(last) = apps.last() else {
                return Ok(());
            };
            after = Some(*last);
            let exist = callback
                .doAppsExist(user.cast_signed(), &signed(&apps))
                .map_err(Error::Caller)?;
            for (app, exists) in apps.iter().zip(answers(&apps, &exist)?) {
                if !exists {
                    self.app_removed(Owner { user, app: *app })?;
                }
            }
        }
    }
}

fn signed(numbers: &[u32]) -> Vec<i32> {
    numbers.iter().map(|number| number.cast_signed()).collect()
}

/// The answers, if there is one for each question.
fn answers<'a>(asked: &[u32], answered: &'a [bool]) -> Result<&'a [bool], Error> {
    if asked.len() == answered.len() {
        Ok(answered)
    } else {
        Err(Error::Answers {
            asked: asked.len(),
            answered: answered.len(),
        })
    }
}

#[cfg(test)]
mod tests;
