// SPDX-License-Identifier: Apache-2.0
//! Pages and completions that follow from a command line.

use super::{Page, source};
use anyhow::Result;
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::path::PathBuf;

/// What the pages' headers show, as in those written by hand.
const MANUAL: &str = "Virtual machines";

/// A page for `command` and one for each of its subcommands, of all depths.
pub(super) fn pages(command: Command, section: u8) -> Result<Vec<Page>> {
    let mut command = command.disable_help_subcommand(true);
    // Gives the subcommands their full names.
    command.build();
    let mut pages = Vec::new();
    collect(&command, None, section, &mut pages)?;
    Ok(pages)
}

fn collect(
    command: &Command,
    parent: Option<&Command>,
    section: u8,
    pages: &mut Vec<Page>,
) -> Result<()> {
    pages.push(Page {
        name: name(command).to_owned(),
        section: section.to_string(),
        text: page(command, parent, section)?,
    });
    for subcommand in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        collect(subcommand, Some(command), section, pages)?;
    }
    Ok(())
}

/// The name with those of the commands above: `vm-run`.
fn name(command: &Command) -> &str {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
}

fn page(command: &Command, parent: Option<&Command>, section: u8) -> Result<String> {
    let man = Man::new(command.clone()).section(section.to_string());
    // Written here, since the generator leaves an empty date out, and what follows takes its place.
    // No date: nothing records when a command line was changed.
    let mut out = format!(
        ".\\\" SPDX-License-Identifier: Apache-2.0\n\
         .TH {} {section} \"\" \"{}\" \"{MANUAL}\"\n",
        name(command).to_uppercase().replace('-', "\\-"),
        source(),
    )
    .into_bytes();
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    if command
        .get_arguments()
        .any(|argument| !argument.is_hide_set())
    {
        man.render_options_section(&mut out)?;
    }
    if command.get_subcommands().any(|c| !c.is_hide_set()) {
        man.render_subcommands_section(&mut out)?;
    }
    let notes = command
        .get_after_long_help()
        .or_else(|| command.get_after_help());
    if let Some(notes) = notes {
        render_notes(&notes.to_string(), &mut out)?;
    }
    if let Some(parent) = parent {
        let mut roff = Roff::new();
        roff.control("SH", ["SEE ALSO"]);
        roff.text([bold(name(parent)), roman(format!("({section})"))]);
        roff.to_writer(&mut out)?;
    }
    Ok(String::from_utf8(out)?)
}

/// The text below a command's help: indented lines are tables and examples, so their line breaks
/// stay, which the generator's own section for this text does not care for.
fn render_notes(text: &str, out: &mut Vec<u8>) -> Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["NOTES"]);
    let (mut is_example, mut is_first, mut gap) = (false, true, false);
    for line in text.lines() {
        if line.is_empty() {
            // It belongs to what it stands in, which the next line tells.
            gap = true;
            continue;
        }
        match (is_example, line.starts_with(' ')) {
            (false, true) => roff.control("PP", []).control("nf", []),
            (true, false) => roff.control("fi", []).control("PP", []),
            (true, true) if gap => roff.text([roman("")]),
            (false, false) if gap && !is_first => roff.control("PP", []),
            _ => &mut roff,
        };
        roff.text([roman(line)]);
        (is_example, is_first, gap) = (line.starts_with(' '), false, false);
    }
    if is_example {
        roff.control("fi", []);
    }
    roff.to_writer(out)?;
    Ok(())
}

/// The completion for a shell, with its path below the directory that has `completions`.
pub(super) fn completion(mut command: Command, shell: Shell) -> (PathBuf, Vec<u8>) {
    use clap_complete::Generator;
    let name = command.get_name().to_owned();
    // Bash loads a file that is called as the command.
    let file = match shell {
        Shell::Bash => name.clone(),
        shell => shell.file_name(&name),
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    (PathBuf::from(format!("completions/{shell}/{file}")), text)
}
