// SPDX-License-Identifier: Apache-2.0
//! Why a property cannot be read, written or watched.

use crate::root::RootError;
use std::io;
use std::path::PathBuf;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, PropertyWatcherError>;

/// Why a property cannot be read, written or watched. It has its name from rustutils.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PropertyWatcherError {
    /// `VIRTMGR_ROOT` cannot be used.
    #[error(transparent)]
    Root(&'static RootError),
    /// Not a property name.
    #[error(
        "cannot use {0:?} as a property name: a name has letters, digits and `.-@:_`, \
         and no empty part between dots"
    )]
    BadNameError(String),
    /// The property is not set.
    #[error("property {0} is not set")]
    SystemPropertyAbsent(String),
    /// There is a property area that cannot be read.
    #[error("cannot read the property area {}", path.display())]
    Uninitialized {
        /// The area's directory.
        path: PathBuf,
        /// The library's answer.
        source: rsproperties::Error,
    },
    /// The property did not change in time.
    #[error("property {0} did not change in time")]
    WaitFailed(String),
    /// Waiting is not possible.
    #[error("cannot watch {}", path.display())]
    Watch {
        /// The properties file, or the area.
        path: PathBuf,
        /// The system error.
        source: io::Error,
    },
    /// The properties file or an area's file cannot be read.
    #[error("cannot read {}", path.display())]
    ReadFailed {
        /// The file.
        path: PathBuf,
        /// The system error.
        source: io::Error,
    },
    /// The property area's files are damaged.
    #[error("cannot read {}: its tree of properties is damaged", .0.display())]
    Damaged(PathBuf),
    /// The property cannot be set.
    #[error("cannot set property {name}")]
    SetPropertyFailed {
        /// The property.
        name: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The caller's own callback failed.
    #[error("cannot use the property's value")]
    CallbackError(#[source] anyhow::Error),
}
