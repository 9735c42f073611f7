// SPDX-License-Identifier: Apache-2.0
//! Values of options whose types are in other crates.

use avf_wire::Release;
use clap::builder::{PossibleValue, PossibleValuesParser, StringValueParser, TypedValueParser};
use clap::{Arg, Command, Error};
use std::ffi::OsStr;
use vm_config::CpuTopology;

/// Reads a release of Android whose interfaces are built in.
#[derive(Debug, Clone)]
pub(crate) struct Releases;

impl Releases {
    fn names() -> PossibleValuesParser {
        PossibleValuesParser::new(avf_wire::built().map(Release::name))
    }
}

impl TypedValueParser for Releases {
    type Value = Release;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Release, Error> {
        Self::names()
            .try_map(|name| name.parse::<Release>())
            .parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(
            avf_wire::built().map(|release| PossibleValue::new(release.name())),
        ))
    }
}

/// Reads a number of virtual CPUs.
#[derive(Debug, Clone)]
pub(crate) struct Topologies;

impl TypedValueParser for Topologies {
    type Value = CpuTopology;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<CpuTopology, Error> {
        StringValueParser::new()
            .try_map(|text| text.parse::<CpuTopology>())
            .parse_ref(command, arg, value)
    }

    /// What shells complete: the words without a number.
    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(
            CpuTopology::NAMES.map(PossibleValue::new).into_iter(),
        ))
    }
}
