// SPDX-License-Identifier: Apache-2.0
//! Displays of a running VM: what crosvm's front end `gpu` takes and prints.

use super::devices::display_values;
use crate::plan::Display;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// What the front end prints when a display was added or removed.
pub(super) const UPDATED: &str = "displays updated";

/// The argument that describes a display.
pub(super) fn argument(display: &Display) -> String {
    format!("--gpu-display={}", display_values(display))
}

/// The front end's list of displays.
#[derive(Debug, Deserialize)]
struct List {
    displays: BTreeMap<u32, Listed>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    mode: Mode,
    #[serde(rename = "refresh-rate", alias = "refresh_rate")]
    refresh_rate: NonZeroU32,
    dpi: (NonZeroU32, NonZeroU32),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[serde(alias = "Windowed")]
    Windowed(NonZeroU32, NonZeroU32),
}

/// The displays and their numbers in what the front end printed.
///
/// # Errors
/// What is not as it should be.
pub(super) fn listed(printed: &str) -> serde_json::Result<Vec<(u32, Display)>> {
    let json = printed.find('{').map_or("", |start| &printed[start..]);
    let list: List = serde_json::from_str(json)?;
    let displays = list.displays.into_iter().map(|(number, listed)| {
        let Mode::Windowed(width, height) = listed.mode;
        let display = Display {
            width,
            height,
            horizontal_dpi: listed.dpi.0,
            vertical_dpi: listed.dpi.1,
            refresh_rate: listed.refresh_rate,
        };
        (number, display)
    });
    Ok(displays.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read() {
        // As crosvm prints its `GpuControlResult::DisplayList`.
        let printed = r#"{
  "displays": {
    "0": { "dpi": [160, 161], "hidden": false, "mode": { "windowed": [1280, 800] }, "refresh-rate": 60 },
    "3": { "dpi": [320, 320], "hidden": true, "mode": { "windowed": [640, 480] }, "refresh-rate": 30 }
  }
}"#;
        let number = |n| NonZeroU32::new(n).unwrap();
        let first = Display {
            width: number(1280),
            height: number(800),
            horizontal_dpi: number(160),
            vertical_dpi: number(161),
            refresh_rate: number(60),
        };
        let list = listed(printed).unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!(list[0], (0, first));
        assert_eq!((list[1].0, list[1].1.width), (3, number(640)));
        assert!(listed(r#"{"displays": {}}"#).unwrap().is_empty());
        assert!(listed("displays updated").is_err());
        assert_eq!(
            argument(&first),
            "--gpu-display=mode=windowed[1280,800],dpi=[160,161],refresh-rate=60"
        );
    }
}
