// SPDX-License-Identifier: Apache-2.0
//! System properties with the interface of Android's `rustutils::system_properties`.
//!
//! Where there is a property area (`/dev/__properties__`), they are Android's own. On other hosts they
//! are the lines `key=value` of `/etc/avf/build.prop`, so that the builder of a Linux system can set
//! what Android sets by property. Both paths are below the root directory ([`root()`]).
//!
//! The functions [`read`], [`read_bool`], [`write()`], [`foreach`] and [`PropertyWatcher::new`] use the
//! root directory of this process; [`Properties`] has the same for any directory.

mod area;
pub mod error;
mod file;
mod root;
mod trie;
mod watcher;

pub use error::{PropertyWatcherError, Result};
pub use root::{ROOT_VARIABLE, RootError, has_raised_privileges, root};
pub use watcher::PropertyWatcher;

use std::path::{Path, PathBuf};

/// As many bytes has a value that can be changed, at most.
const LONGEST_VALUE: usize = 91;

/// Reads a property; none if it is not set.
///
/// # Errors
/// If the properties cannot be read.
pub fn read(name: &str) -> Result<Option<String>> {
    Properties::of_process()?.read(name)
}

/// Reads a property that is true or false, as [`parse_bool`] does; `default` if it is neither.
///
/// # Errors
/// If the properties cannot be read.
pub fn read_bool(name: &str, default: bool) -> Result<bool> {
    Properties::of_process()?.read_bool(name, default)
}

/// Sets a property.
///
/// # Errors
/// If it cannot be set.
pub fn write(name: &str, value: &str) -> Result<()> {
    Properties::of_process()?.write(name, value)
}

/// Calls `f` with the name and value of each property that this process may read.
///
/// # Errors
/// If the properties cannot be read.
pub fn foreach<F>(f: F) -> Result<()>
where
    F: FnMut(&str, &str),
{
    Properties::of_process()?.foreach(f)
}

/// What a property's value says: true for `1`, `y`, `yes`, `on` and `true`, false for `0`, `n`, `no`,
/// `off` and `false`, and nothing for any other.
#[must_use]
pub fn parse_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "y" | "yes" | "on" | "true" => Some(true),
        "0" | "n" | "no" | "off" | "false" => Some(false),
        _ => None,
    }
}

/// The properties below one root directory.
#[derive(Debug, Clone)]
pub struct Properties {
    root: PathBuf,
}

/// Where properties are.
enum Source {
    Area(area::Area),
    File(file::PropertiesFile),
}

impl Properties {
    /// The properties of this process's root directory.
    ///
    /// # Errors
    /// If `VIRTMGR_ROOT` cannot be used.
    pub fn of_process() -> Result<Self> {
        root().map(Self::below).map_err(PropertyWatcherError::Root)
    }

    /// The properties below `root`. One process can use one property area only, that of the first
    /// root directory that has one.
    #[must_use]
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The root directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn source(&self) -> Result<Source> {
        match area::open(&self.root) {
            Some(area) => area.map(Source::Area),
            None => Ok(Source::File(file::PropertiesFile::below(&self.root))),
        }
    }

    /// Whether there is a property area, as on Android: also one that cannot be read, for a host does
    /// not become another system by that.
    #[must_use]
    pub fn has_area(&self) -> bool {
        area::open(&self.root).is_some()
    }

    /// Reads a property; see [`read()`].
    ///
    /// # Errors
    /// If the properties cannot be read.
    pub fn read(&self, name: &str) -> Result<Option<String>> {
        match self.source()? {
            Source::Area(area) => area.read(name),
            Source::File(file) => file.read(name),
        }
    }

    /// Reads a property that is true or false; see [`read_bool()`].
    ///
    /// # Errors
    /// If the properties cannot be read.
    pub fn read_bool(&self, name: &str, default: bool) -> Result<bool> {
        let value = self.read(name)?;
        Ok(value.as_deref().and_then(parse_bool).unwrap_or(default))
    }

    /// Sets a property; see [`write()`].
    ///
    /// # Errors
    /// If it cannot be set.
    pub fn write(&self, name: &str, value: &str) -> Result<()> {
        check_name(name)?;
        let refuse = |why: String| PropertyWatcherError::SetPropertyFailed {
            name: name.to_owned(),
            source: why.into(),
        };
        if !name.starts_with("ro.") && value.len() > LONGEST_VALUE {
            return Err(refuse(format!(
                "its value has {} bytes, and may have {LONGEST_VALUE}",
                value.len()
            )));
        }
        if value.contains(char::is_control) {
            return Err(refuse("its value has control characters".into()));
        }
        match self.source()? {
            Source::Area(_) => area::Area::write(name, value),
            Source::File(file) => file.write(name, value),
        }
    }

    /// Calls `f` with each property's name and value; see [`foreach()`].
    ///
    /// # Errors
    /// If the properties cannot be read.
    pub fn foreach<F>(&self, mut f: F) -> Result<()>
    where
        F: FnMut(&str, &str),
    {
        let source = self.source()?;
        let names = match &source {
            Source::Area(area) => area.names()?,
            Source::File(file) => file.names()?,
        };
        for name in names {
            let value = match &source {
                Source::Area(area) => area.read(&name)?,
                Source::File(file) => file.read(&name)?,
            };
            if let Some(value) = value {
                f(&name, &value);
            }
        }
        Ok(())
    }

    /// A watcher of the property `name`; see [`PropertyWatcher::new`].
    ///
    /// # Errors
    /// If that is not a property name.
    pub fn watcher(&self, name: &str) -> Result<PropertyWatcher> {
        PropertyWatcher::of(self.clone(), name)
    }
}

fn check_name(name: &str) -> Result<()> {
    if is_name(name) {
        Ok(())
    } else {
        Err(PropertyWatcherError::BadNameError(name.to_owned()))
    }
}

/// Whether Android would take `name` for a property.
fn is_name(name: &str) -> bool {
    name.split('.').all(|part| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-@:_".contains(&byte))
    })
}
