// SPDX-License-Identifier: Apache-2.0
//! The configuration of a payload: a JSON file in its APK.

use serde::Deserialize;

/// The configuration of a payload. Keys that are not listed are left to newer guests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct PayloadConfig {
    /// The guest's operating system, if the payload cares.
    #[serde(default)]
    pub os: Option<Os>,
    /// What is run.
    #[serde(default)]
    pub task: Option<Task>,
    /// APEXes that the payload needs.
    #[serde(default)]
    pub apexes: Vec<Apex>,
    /// Further APKs.
    #[serde(default)]
    pub extra_apks: Vec<ExtraApk>,
    /// Whether APEXes that will be active after the next boot are taken.
    #[serde(default)]
    pub prefer_staged: bool,
    /// Whether the guest hands out its crash reports.
    #[serde(default)]
    pub export_tombstones: Option<bool>,
    /// Whether the guest reads files of the host.
    #[serde(default)]
    pub enable_authfs: bool,
    /// Whether the guest's memory should be in huge pages.
    #[serde(default)]
    pub hugepages: bool,
}

/// The guest's operating system.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Os {
    /// Its name.
    pub name: String,
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Task {
    /// How it is run.
    #[serde(rename = "type", default)]
    pub kind: TaskKind,
    /// The program's path in the guest, or the library's name.
    pub command: String,
}

/// How a payload is run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// As a program.
    #[default]
    Executable,
    /// As a library, by Microdroid's launcher.
    MicrodroidLauncher,
}

/// An APEX by its name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Apex {
    /// The name, or `{CLASSPATH}` for those of the class path.
    pub name: String,
}

/// A further APK.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ExtraApk {
    /// Its path on the host.
    pub path: String,
}

/// The payload's configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// It is not JSON of the right form.
    #[error("line {}, column {}: {source}", source.line(), source.column())]
    Json {
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// A payload's name leads elsewhere.
    #[error("payload binary name {0:?}: it must be the name of a file, without a '/'")]
    BinaryName(String),
}

impl PayloadConfig {
    /// Reads it.
    ///
    /// # Errors
    /// If it is not JSON, or a key has a value of another type.
    pub fn parse(json: &[u8]) -> Result<Self, PayloadError> {
        serde_json::from_slice(json).map_err(|source| PayloadError::Json { source })
    }
}

/// Checks the name of a payload in an APK's directory of libraries.
///
/// # Errors
/// If it is empty or a path.
pub fn check_binary_name(name: &str) -> Result<(), PayloadError> {
    if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
        return Err(PayloadError::BinaryName(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_and_none() {
        let text = r#"{ "os": {"name": "microdroid_gki"}, "task": {"type": "microdroid_launcher",
            "command": "lib.so"}, "apexes": [{"name": "{CLASSPATH}"}], "extra_apks": [{"path": "/a"}],
            "prefer_staged": true, "export_tombstones": true, "enable_authfs": true,
            "hugepages": true, "a_later_key": 1 }"#;
        let config = PayloadConfig::parse(text.as_bytes()).unwrap();
        assert_eq!(config.os.unwrap().name, "microdroid_gki");
        let task = config.task.unwrap();
        assert_eq!(
            (task.kind, task.command.as_str()),
            (TaskKind::MicrodroidLauncher, "lib.so")
        );
        assert!(config.prefer_staged && config.hugepages);
        let least = PayloadConfig::parse(b"{}").unwrap();
        assert_eq!(least, PayloadConfig::default());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let error = PayloadConfig::parse(b"{\n \"apexes\": 7 }")
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("line 2,"), "{error}");
        for name in ["", "a/b", "..", "."] {
            assert!(check_binary_name(name).is_err(), "{name}");
        }
        check_binary_name("MicrodroidPayload.so").unwrap();
    }
}
