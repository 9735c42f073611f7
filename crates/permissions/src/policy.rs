// SPDX-License-Identifier: Apache-2.0
//! Permissions by membership in groups.

use crate::groups;
use crate::{Authority, Caller, Denied, Permission};
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};

/// The file that names the groups, below the root directory.
pub const FILE: &str = "etc/avf/permissions.json";
/// The group for what the file does not name.
const DEFAULT: &str = "kvm";

/// Why the file of groups cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is there, and cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system error.
        source: io::Error,
    },
    /// It is not JSON.
    #[error("{}: it is not valid JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// It has a key that is not a permission.
    #[error("{}: unknown key `{key}`; the nearest known key is `{nearest}`, all are: {}",
        path.display(), Permission::ALL.map(Permission::key).join(", "))]
    Key {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What may be meant.
        nearest: &'static str,
    },
    /// A value is of the wrong kind.
    #[error("{}: `{at}` must be {must}, such as {example}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Where in it.
        at: String,
        /// What must be there.
        must: &'static str,
        /// What is right.
        example: &'static str,
    },
}

/// Which groups have which permission.
#[derive(Debug, Clone)]
pub struct Policy {
    root: PathBuf,
    /// In the order of [`Permission::ALL`].
    allowed: [Allowed; 4],
}

/// Who has a permission.
#[derive(Debug, Clone)]
enum Allowed {
    /// Every user.
    Everyone,
    /// Root, and the members of these groups.
    Groups(Vec<Group>),
}

#[derive(Debug, Clone)]
struct Group {
    name: String,
    /// None if this host has no such group.
    id: Option<u32>,
}

impl Policy {
    /// Reads `{root}/etc/avf/permissions.json`; without it, or for what it does not name, the group
    /// `kvm` is meant. Groups that do not exist are logged and let no one in.
    ///
    /// # Errors
    /// If the file is there, and is wrong.
    pub fn load(root: &Path) -> Result<Self, Error> {
        let default = || Allowed::Groups(vec![Group::named(root, DEFAULT)]);
        Self::read(root, std::array::from_fn(|_| default()))
    }

    /// As [`Policy::load`], for a manager that runs VMs with its user's own rights: what the file does
    /// not name, every user may do who needs nothing but that. Whoever may open `/dev/kvm` has KVM, and
    /// emulation takes no right at all, so the kernel decides. Other users' VMs and a network take the
    /// group `kvm` as ever.
    ///
    /// # Errors
    /// If the file is there, and is wrong.
    pub fn of_managers(root: &Path) -> Result<Self, Error> {
        let default = |permission: Permission| match permission {
            Permission::Manage | Permission::Custom => Allowed::Everyone,
            Permission::Dump | Permission::Internet => {
                Allowed::Groups(vec![Group::named(root, DEFAULT)])
            }
        };
        Self::read(root, Permission::ALL.map(default))
    }

    fn read(root: &Path, mut allowed: [Allowed; 4]) -> Result<Self, Error> {
        let path = root.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Ok(Self {
                    root: root.to_owned(),
                    allowed,
                });
            }
            Err(source) => return Err(Error::Read { path, source }),
        };
        let value: Value = serde_json::from_str(&text).map_err(|source| Error::Json {
            path: path.clone(),
            source,
        })?;
        let Value::Object(entries) = value else {
            return Err(Error::Value {
                path,
                at: "(the whole)".into(),
                must: "an object",
                example: r#"{"manage": ["kvm"]}"#,
            });
        };
        for (key, value) in entries {
            let place = Permission::ALL.iter().position(|p| p.key() == key);
            let Some(list) = place.and_then(|place| allowed.get_mut(place)) else {
                return Err(Error::Key {
                    nearest: nearest(&key),
                    path,
                    key,
                });
            };
            let groups = names(&path, &key, &value)?
                .iter()
                .map(|name| Group::named(root, name))
                .inspect(|group| {
                    if group.id.is_none() {
                        log::warn!(
                            "{}: `{key}` names the group '{}', which is not in {}",
                            path.display(),
                            group.name,
                            root.join("etc/group").display()
                        );
                    }
                })
                .collect();
            *list = Allowed::Groups(groups);
        }
        Ok(Self {
            root: root.to_owned(),
            allowed,
        })
    }

    fn allowed(&self, permission: Permission) -> &Allowed {
        const NOBODY: &Allowed = &Allowed::Groups(Vec::new());
        Permission::ALL
            .iter()
            .zip(&self.allowed)
            .find_map(|(known, allowed)| (*known == permission).then_some(allowed))
            .unwrap_or(NOBODY)
    }

    /// Whether the user `uid` who is in `groups` has `permission`. User 0 has all.
    ///
    /// # Errors
    /// [`Denied`], with what to do about it.
    pub fn check(&self, permission: Permission, uid: u32, groups: &[u32]) -> Result<(), Denied> {
        let is_in = |group: &Group| group.id.is_some_and(|id| groups.contains(&id));
        let allowed = match self.allowed(permission) {
            Allowed::Everyone => return Ok(()),
            Allowed::Groups(allowed) => allowed,
        };
        if uid == 0 || allowed.iter().any(is_in) {
            return Ok(());
        }
        Err(Denied {
            user: self.user(uid),
            permission,
            remedy: self.remedy(permission, allowed, uid),
            source: None,
        })
    }

    fn user(&self, uid: u32) -> String {
        match groups::user(&self.root, uid) {
            Some(name) => format!("user {uid} ({name})"),
            None => format!("user {uid}"),
        }
    }

    fn remedy(&self, permission: Permission, allowed: &[Group], uid: u32) -> String {
        let file = self.root.join(FILE);
        let key = permission.key();
        let user = groups::user(&self.root, uid).unwrap_or_else(|| "USER".into());
        match allowed.iter().find(|group| group.id.is_some()) {
            Some(group) => format!(
                "it takes membership of the group {}: usermod -aG {} {user}, then log in again; or name \
                 another group as `{key}` in {}",
                list(allowed),
                group.name,
                file.display()
            ),
            None if allowed.is_empty() => format!(
                "only root has it; name a group as `{key}` in {} to change that",
                file.display()
            ),
            None => format!(
                "it takes membership of the group {}, which does not exist here: groupadd it, or name \
                 another as `{key}` in {}",
                list(allowed),
                file.display()
            ),
        }
    }
}

impl Authority for Policy {
    fn check(&self, permission: Permission, caller: &Caller) -> Result<(), Denied> {
        if caller.uid == 0 || matches!(self.allowed(permission), Allowed::Everyone) {
            return Ok(());
        }
        let groups = caller.groups().map_err(|e| Denied {
            user: self.user(caller.uid),
            permission,
            remedy: "its groups cannot be read".into(),
            source: Some(e.into()),
        })?;
        Self::check(self, permission, caller.uid, &groups)
    }
}

impl Group {
    fn named(root: &Path, name: &str) -> Self {
        Self {
            id: groups::group(root, name),
            name: name.to_owned(),
        }
    }
}

fn list(groups: &[Group]) -> String {
    let names: Vec<_> = groups.iter().map(|group| group.name.as_str()).collect();
    names.join(" or ")
}

fn nearest(key: &str) -> &'static str {
    let folded = key.to_lowercase();
    Permission::ALL
        .map(Permission::key)
        .into_iter()
        .min_by_key(|known| strsim::damerau_levenshtein(&folded, known))
        .unwrap_or_default()
}

/// The names, or numbers, of groups in `value`.
fn names(path: &Path, key: &str, value: &Value) -> Result<Vec<String>, Error> {
    let wrong = |at: String, must| Error::Value {
        path: path.to_owned(),
        at,
        must,
        example: r#"["kvm", "5001"]"#,
    };
    let Value::Array(items) = value else {
        return Err(wrong(key.to_owned(), "a list of groups"));
    };
    items
        .iter()
        .enumerate()
        .map(|(number, item)| match item {
            Value::String(name) if !name.is_empty() => Ok(name.clone()),
            Value::Number(id) if id.as_u64().is_some_and(|id| u32::try_from(id).is_ok()) => {
                Ok(id.to_string())
            }
            _ => Err(wrong(
                format!("{key}[{number}]"),
                "the name of a group, or its number",
            )),
        })
        .collect()
}
