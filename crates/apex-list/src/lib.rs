// SPDX-License-Identifier: Apache-2.0
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

use serde::Deserialize;
use xml_list::{Form, Unknown};

pub use xml_list::{Fault, Position};

/// The path of the list on a device.
pub const PATH: &str = "/apex/apex-info-list.xml";

/// A bound for the list's length, in bytes. A device has some dozens of APEXes, each of about 300
/// bytes.
pub const MAX_LEN: u64 = 1024 * 1024;

const FORM: Form<'_> = Form {
    root: "apex-info-list",
    entry: "apex-info",
    fields: &[
        "moduleName",
        "modulePath",
        "preinstalledModulePath",
        "versionCode",
        "isFactory",
        "isActive",
        "lastUpdateMillis",
        "provideSharedApexLibs",
        "partition",
    ],
    required: &[],
    unknown: Unknown::Ignore,
};

/// One APEX, with its attributes as they are written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ApexInfo {
    /// The line of the entry, from 1.
    #[serde(skip)]
    pub line: u32,
    /// The APEX's name.
    #[serde(rename = "@moduleName")]
    pub module_name: Option<String>,
    /// The APEX's file.
    #[serde(rename = "@modulePath")]
    pub module_path: Option<String>,
    /// The file that came with the system.
    #[serde(rename = "@preinstalledModulePath")]
    pub preinstalled_module_path: Option<String>,
    /// The version, a number.
    #[serde(rename = "@versionCode")]
    pub version_code: Option<String>,
    /// Whether this is the file that came with the system: `true` or `false`.
    #[serde(rename = "@isFactory")]
    pub is_factory: Option<String>,
    /// Whether this file is in use: `true` or `false`.
    #[serde(rename = "@isActive")]
    pub is_active: Option<String>,
    /// When the file was last updated: seconds since 1970, in spite of the name.
    #[serde(rename = "@lastUpdateMillis")]
    pub last_update_millis: Option<String>,
    /// Whether the APEX provides libraries to others: `true` or `false`.
    #[serde(rename = "@provideSharedApexLibs")]
    pub provide_shared_apex_libs: Option<String>,
    /// The partition that the APEX came with, in capitals.
    #[serde(rename = "@partition")]
    pub partition: Option<String>,
}

/// Reads the list in `bytes`.
///
/// # Errors
///
/// If it is not well-formed XML in UTF-8, has a DOCTYPE, or another root element.
pub fn read(bytes: &[u8]) -> Result<Vec<ApexInfo>, Fault> {
    let list = xml_list::read(bytes, &FORM)?;
    list.entries
        .iter()
        .map(|entry| {
            let info: ApexInfo = entry.read()?;
            Ok(ApexInfo {
                line: entry.position.line,
                ..info
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_and_the_rest_is_ignored() {
        let list = read(
            b"<?xml version='1.0' encoding='utf-8'?>\n<apex-info-list>\n<other/>text\
              <apex-info moduleName='a&amp;b' isActive='true' new='1'><x/></apex-info>\n\
              <apex-info partition='' xmlns:p='q' p:moduleName='z'/></apex-info-list>\n",
        )
        .unwrap();
        let [first, second] = &list[..] else {
            unreachable!("{list:?}")
        };
        assert_eq!(first.module_name.as_deref(), Some("a&b"));
        assert_eq!((first.line, first.partition.as_deref()), (3, None));
        assert_eq!((second.line, second.partition.as_deref()), (4, Some("")));
        assert_eq!(second.module_name, None);
    }

    #[test]
    fn faults_have_their_position() {
        for (text, wanted) in [
            (
                "<apexes/>",
                "1:1: the root element is <apexes>; it must be <apex-info-list>",
            ),
            (
                "\n<!DOCTYPE x><apex-info-list/>",
                "2:1: a DOCTYPE is refused, as it may define entities; remove it",
            ),
            (
                "<apex-info-list>\n",
                "2:1: not XML: the file ends too early",
            ),
        ] {
            assert_eq!(read(text.as_bytes()).unwrap_err().to_string(), wanted);
        }
    }
}
