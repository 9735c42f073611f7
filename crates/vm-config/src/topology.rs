// SPDX-License-Identifier: Apache-2.0
//! How many virtual CPUs a VM gets, as texts and parcelables say it.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use avf_aidl::service::CpuOptions;
use avf_aidl::service::cpu_options::CpuTopology as Topology;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{ValueError, shorten};

/// One CPU.
const ONE: &str = "one_cpu";
/// Those of the host.
const HOST: &str = "match_host";
/// What goes before a number of CPUs.
const COUNT: &str = "cpu_count=";

/// How many virtual CPUs a VM gets. As a text it is `one_cpu`, `match_host` or `cpu_count=N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CpuTopology {
    /// One.
    #[default]
    OneCpu,
    /// As many as the host has.
    MatchHost,
    /// So many.
    Count(NonZeroU32),
}

impl CpuTopology {
    /// The texts that need no number.
    pub const NAMES: [&str; 2] = [ONE, HOST];

    /// The topology as the parcelables for `createVm` have it. A count of more than `i32::MAX`, which
    /// no text gives, becomes that.
    #[must_use]
    pub fn to_parcelable(self) -> CpuOptions {
        CpuOptions {
            cpuTopology: match self {
                Self::OneCpu => Topology::CpuCount(1),
                Self::MatchHost => Topology::MatchHost(true),
                Self::Count(count) => {
                    Topology::CpuCount(i32::try_from(count.get()).unwrap_or(i32::MAX))
                }
            },
        }
    }
}

impl fmt::Display for CpuTopology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneCpu => f.pad(ONE),
            Self::MatchHost => f.pad(HOST),
            Self::Count(count) => f.pad(&format!("{COUNT}{count}")),
        }
    }
}

/// A text that says no number of virtual CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; give {ONE}, {HOST} or {COUNT}N, for example {COUNT}4")]
pub struct CpuTopologyError {
    problem: &'static str,
}

impl FromStr for CpuTopology {
    type Err = CpuTopologyError;

    fn from_str(text: &str) -> Result<Self, CpuTopologyError> {
        let error = |problem| Err(CpuTopologyError { problem });
        let Some(number) = text.strip_prefix(COUNT) else {
            return match text {
                ONE => Ok(Self::OneCpu),
                HOST => Ok(Self::MatchHost),
                _ => error("it is not a CPU topology"),
            };
        };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return error("the number of CPUs is not a whole number");
        }
        match number.parse::<i32>().map(i32::unsigned_abs) {
            Ok(number) => match NonZeroU32::new(number) {
                Some(count) => Ok(Self::Count(count)),
                None => error("a VM has at least one CPU"),
            },
            Err(_) => error("the number of CPUs is too large"),
        }
    }
}

impl Serialize for CpuTopology {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CpuTopology {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Names the expected value in errors, where derived code would say "a string".
        struct Text;

        impl Visitor<'_> for Text {
            type Value = CpuTopology;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "\"{ONE}\", \"{HOST}\" or \"{COUNT}N\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<CpuTopology, E> {
                text.parse().map_err(|problem| {
                    E::custom(ValueError::CpuTopology {
                        text: shorten(text),
                        problem,
                    })
                })
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_they_are_written() {
        for (text, topology, count) in [
            ("one_cpu", CpuTopology::OneCpu, Some(1)),
            ("match_host", CpuTopology::MatchHost, None),
            ("cpu_count=1", CpuTopology::Count(NonZeroU32::MIN), Some(1)),
            (
                "cpu_count=2147483647",
                CpuTopology::Count(NonZeroU32::new(2_147_483_647).unwrap()),
                Some(i32::MAX),
            ),
        ] {
            assert_eq!(text.parse(), Ok(topology));
            assert_eq!(topology.to_string(), text);
            match (topology.to_parcelable().cpuTopology, count) {
                (Topology::CpuCount(given), Some(count)) => assert_eq!(given, count),
                (Topology::MatchHost(true), None) => {}
                (other, _) => panic!("{text}: {other:?}"),
            }
        }
        assert_eq!(
            "cpu_count=007".parse::<CpuTopology>().unwrap().to_string(),
            "cpu_count=7"
        );
    }

    #[test]
    fn other_texts_are_refused_with_what_is_wrong() {
        for (text, problem) in [
            ("", "it is not a CPU topology"),
            ("4", "it is not a CPU topology"),
            ("One_cpu", "it is not a CPU topology"),
            ("one_cpu ", "it is not a CPU topology"),
            ("cpu_count", "it is not a CPU topology"),
            ("cpu_count=", "the number of CPUs is not a whole number"),
            ("cpu_count=x", "the number of CPUs is not a whole number"),
            ("cpu_count=-1", "the number of CPUs is not a whole number"),
            ("cpu_count=+1", "the number of CPUs is not a whole number"),
            ("cpu_count=1.5", "the number of CPUs is not a whole number"),
            ("cpu_count=0", "a VM has at least one CPU"),
            ("cpu_count=00", "a VM has at least one CPU"),
            ("cpu_count=2147483648", "the number of CPUs is too large"),
        ] {
            assert_eq!(
                text.parse::<CpuTopology>().unwrap_err().to_string(),
                format!(
                    "{problem}; give one_cpu, match_host or cpu_count=N, for example cpu_count=4"
                ),
                "{text}"
            );
        }
    }
}
