// SPDX-License-Identifier: Apache-2.0
//! Pages that are written by hand, in `docs/man`: `NAME.SECTION` is a page, `NAME.roff` a part of
//! several, which the line `.\" include NAME.roff` puts in its place.

use super::{DATE, Page, source};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;

/// Begins a line that is replaced by a file. For other programs it is a comment.
const INCLUDE: &str = ".\\\" include ";
/// Stands for the version.
const VERSION: &str = "virtmgr @VERSION@";
/// Stands for the date.
const DATE_MARK: &str = "@DATE@";

/// The pages in `dir`.
pub(super) fn pages(dir: &Path) -> Result<Vec<Page>> {
    let list = || format!("cannot list {}", dir.display());
    let mut pages = Vec::new();
    for entry in fs::read_dir(dir).with_context(list)? {
        let path = entry.with_context(list)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let Some(section @ ("5" | "8")) = extension else {
            continue;
        };
        let name = path.file_stem().and_then(|name| name.to_str());
        let text = read(&path)?;
        for mark in [VERSION, DATE_MARK] {
            ensure!(
                text.contains(mark),
                "{}: its title line does not have {mark}",
                path.display()
            );
        }
        pages.push(Page {
            name: name.unwrap_or_default().to_owned(),
            section: section.to_owned(),
            text: include(&text, dir)?
                .replace(VERSION, &source())
                .replace(DATE_MARK, DATE),
        });
    }
    ensure!(!pages.is_empty(), "{}: no pages", dir.display());
    Ok(pages)
}

/// The text with its parts in their places. Parts have none themselves.
fn include(text: &str, dir: &Path) -> Result<String> {
    let mut whole = String::new();
    for line in text.lines() {
        match line.strip_prefix(INCLUDE) {
            Some(part) => whole.push_str(&read(&dir.join(part))?),
            None => {
                whole.push_str(line);
                whole.push('\n');
            }
        }
    }
    Ok(whole)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
