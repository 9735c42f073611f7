// SPDX-License-Identifier: Apache-2.0
//! Permission checks for VMs.
//!
//! [`Authority`] is the question; [`Policy`] answers it by groups, [`Controller`] as Android does.
#![forbid(unsafe_code)]

mod caller;
mod controller;
mod groups;
mod policy;

pub use caller::{Caller, CallerError};
pub use controller::Controller;
pub use groups::group as group_id;
pub use policy::{Error, FILE, Policy};

use std::fmt;

/// What may be allowed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Having VMs at all.
    Manage,
    /// VMs of one's own kernel, boot loader or disks; devices of the host.
    Custom,
    /// Seeing the VMs of others.
    Dump,
    /// A network interface, together with [`Permission::Custom`].
    Internet,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Manage, Self::Custom, Self::Dump, Self::Internet];

    /// The name in the file of groups.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Manage => "manage",
            Self::Custom => "custom",
            Self::Dump => "dump",
            Self::Internet => "internet",
        }
    }

    /// Android's name.
    #[must_use]
    pub fn android_name(self) -> &'static str {
        match self {
            Self::Manage => "android.permission.MANAGE_VIRTUAL_MACHINE",
            Self::Custom => "android.permission.USE_CUSTOM_VIRTUAL_MACHINE",
            Self::Dump => "android.permission.DUMP",
            Self::Internet => "android.permission.INTERNET",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.android_name())
    }
}

/// A permission is missing.
#[derive(Debug, thiserror::Error)]
#[error("{user} does not have the permission {permission}: {remedy}")]
pub struct Denied {
    /// The user.
    pub user: String,
    /// Which permission.
    pub permission: Permission,
    /// How to get it, or why the check failed.
    pub remedy: String,
    /// Why the check failed.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Answers permission checks.
pub trait Authority: Send + Sync + fmt::Debug {
    /// Whether `caller` has `permission`. Root has every permission.
    ///
    /// # Errors
    /// [`Denied`] if not, or if the check fails.
    fn check(&self, permission: Permission, caller: &Caller) -> Result<(), Denied>;
}
