// SPDX-License-Identifier: Apache-2.0
//! Waiting for a property to change.

use crate::error::{PropertyWatcherError as Error, Result};
use crate::{Properties, Source};
use std::time::{Duration, Instant};

/// Reads one property and waits for it to change.
#[derive(Debug)]
pub struct PropertyWatcher {
    properties: Properties,
    name: String,
    seen: Seen,
}

/// The last state of the property that its watcher knows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Nothing,
    Serial(u32),
    Value(String),
}

impl PropertyWatcher {
    /// A watcher of `name`, which need not be set yet.
    ///
    /// # Errors
    /// If that is not a property name, or `VIRTMGR_ROOT` cannot be used.
    pub fn new(name: &str) -> Result<Self> {
        Properties::of_process()?.watcher(name)
    }

    pub(crate) fn of(properties: Properties, name: &str) -> Result<Self> {
        crate::check_name(name)?;
        Ok(Self {
            properties,
            name: name.to_owned(),
            seen: Seen::Nothing,
        })
    }

    /// Calls `f` with the property's name and value.
    ///
    /// # Errors
    /// [`Error::SystemPropertyAbsent`] if it is not set, [`Error::CallbackError`] if `f` fails.
    pub fn read<T, F>(&mut self, mut f: F) -> Result<T>
    where
        F: FnMut(&str, &str) -> anyhow::Result<T>,
    {
        let value = self.look()?;
        let value = value.ok_or_else(|| Error::SystemPropertyAbsent(self.name.clone()))?;
        f(&self.name, &value).map_err(Error::CallbackError)
    }

    /// Reads the value and remembers this state of the property.
    fn look(&mut self) -> Result<Option<String>> {
        match self.properties.source()? {
            Source::Area(area) => {
                // The counter first: a change between the two makes the next wait return at once,
                // where the other order would miss it.
                let serial = area.serial(&self.name);
                let value = area.read(&self.name)?;
                self.seen = serial.map_or(Seen::Nothing, Seen::Serial);
                Ok(value)
            }
            Source::File(file) => {
                let value = file.read(&self.name)?;
                self.seen = value.clone().map_or(Seen::Nothing, Seen::Value);
                Ok(value)
            }
        }
    }

    /// Waits until the property is set, or has changed since this watcher last read it or waited for
    /// it. A first wait for a property that is set returns at once.
    ///
    /// # Errors
    /// [`Error::WaitFailed`] if the time is over.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.wait_until(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// Waits until the property has the value `expected`.
    ///
    /// # Errors
    /// [`Error::WaitFailed`] if the time is over.
    pub fn wait_for_value(&mut self, expected: &str, timeout: Option<Duration>) -> Result<()> {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        while self.look()?.as_deref() != Some(expected) {
            self.wait_until(until)?;
        }
        Ok(())
    }

    fn wait_until(&mut self, until: Option<Instant>) -> Result<()> {
        match self.properties.source()? {
            Source::Area(area) => {
                let seen = match self.seen {
                    Seen::Serial(serial) => Some(serial),
                    _ => None,
                };
                area.wait(&self.name, seen, until)?;
            }
            Source::File(file) => {
                let seen = match &self.seen {
                    Seen::Value(value) => Some(value.as_str()),
                    _ => None,
                };
                file.wait(&self.name, seen, until)?;
            }
        }
        self.look().map(drop)
    }
}
