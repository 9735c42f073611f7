// SPDX-License-Identifier: Apache-2.0
//! Pages and completions that follow from a command line.

use super::{DATE, Page, source};
use anyhow::Result;
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
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
    let help = Help::of(command);
    let mut roff = Roff::new();
    heading(&mut roff, "SYNOPSIS");
    synopsis(command, &mut roff);
    heading(&mut roff, "DESCRIPTION");
    let about = command.get_long_about().or(command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let end = if about.ends_with('.') { "" } else { "." };
    render(&format!("{about}{end}\n\n{}", help.prose), &mut roff);
    let man = Man::new(command.clone()).section(section.to_string());
    let mut out = format!(
        ".\\\" SPDX-License-Identifier: Apache-2.0\n\
         .TH {} {section} {DATE} \"{}\" \"{MANUAL}\"\n",
        name(command).to_uppercase().replace('-', "\\-"),
        source(),
    )
    .into_bytes();
    man.render_name_section(&mut out)?;
    roff.to_writer(&mut out)?;
    if command.get_arguments().any(|a| !a.is_hide_set()) {
        man.render_options_section(&mut out)?;
    }
    if command.get_subcommands().any(|c| !c.is_hide_set()) {
        man.render_subcommands_section(&mut out)?;
    }
    let mut roff = Roff::new();
    for (title, text) in &help.sections {
        heading(&mut roff, &title.to_uppercase());
        render(text, &mut roff);
    }
    see_also(&help, parent, section, &mut roff);
    roff.to_writer(&mut out)?;
    Ok(without_idle_breaks(&String::from_utf8(out)?))
}

/// The headings that a help text can have, each alone on a line.
const HEADINGS: [&str; 4] = ["JSON fields:", "Exit status:", "Environment:", "Examples:"];
/// Begins the line that names other pages.
const SEE_ALSO: &str = "See also: ";

/// The text below a command's options, in its parts.
#[derive(Debug, Default)]
struct Help {
    /// What has no heading.
    prose: String,
    /// The headings, each with its text.
    sections: Vec<(String, String)>,
    /// Other pages: `vm-run(1)`.
    see_also: Vec<String>,
}

impl Help {
    fn of(command: &Command) -> Self {
        let text = command
            .get_after_long_help()
            .or_else(|| command.get_after_help())
            .map(ToString::to_string)
            .unwrap_or_default();
        let mut help = Self::default();
        for line in text.lines() {
            if HEADINGS.contains(&line) {
                let title = line.trim_end_matches(':').to_owned();
                help.sections.push((title, String::new()));
            } else if let Some(pages) = line.strip_prefix(SEE_ALSO) {
                help.see_also = pages.split(", ").map(str::to_owned).collect();
            } else {
                let part = match help.sections.last_mut() {
                    Some((_, text)) => text,
                    None => &mut help.prose,
                };
                part.push_str(line);
                part.push('\n');
            }
        }
        help
    }
}

fn heading(roff: &mut Roff, title: &str) {
    roff.control("SH", [title]);
}

/// The options with their values, and the arguments.
fn synopsis(command: &Command, roff: &mut Roff) {
    let full = name(command).replace('-', " ");
    // `vm create-partition`: only the words that are commands are apart.
    let full = command.get_bin_name().unwrap_or(&full).to_owned();
    let mut words = vec![bold(full)];
    let (positional, options): (Vec<_>, Vec<_>) = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set())
        .partition(|argument| argument.is_positional());
    for option in options {
        let (open, close) = if option.is_required_set() {
            ("", "")
        } else {
            ("[", "]")
        };
        words.push(roman(format!(" {open}")));
        let short = option.get_short().map(|short| format!("-{short}"));
        let long = option.get_long().map(|long| format!("--{long}"));
        let names: Vec<String> = short.into_iter().chain(long).collect();
        for (at, name) in names.iter().enumerate() {
            if at > 0 {
                words.push(roman("|"));
            }
            words.push(bold(name));
        }
        if option.get_action().takes_values() {
            for value in option.get_value_names().unwrap_or_default() {
                words.push(roman(" "));
                words.push(italic(value.as_str()));
            }
        }
        words.push(roman(close));
    }
    for argument in positional {
        let (open, close) = if argument.is_required_set() {
            ("", "")
        } else {
            ("[", "]")
        };
        let many = argument.get_num_args().is_some_and(|n| n.max_values() > 1);
        let value = argument.get_value_names().and_then(<[_]>::first);
        let value = value.map_or(argument.get_id().as_str(), |value| value.as_str());
        words.push(roman(format!(" {open}")));
        words.push(italic(value));
        words.push(roman(format!("{}{close}", if many { " ..." } else { "" })));
    }
    if command.has_subcommands() {
        words.push(roman(" "));
        words.push(italic("COMMAND"));
    }
    roff.text(words);
}

fn see_also(help: &Help, parent: Option<&Command>, section: u8, roff: &mut Roff) {
    let parent = parent.map(|parent| format!("{}({section})", name(parent)));
    let mut pages = help.see_also.clone();
    if let Some(parent) = parent
        && !pages.contains(&parent)
    {
        pages.insert(0, parent);
    }
    if pages.is_empty() {
        return;
    }
    heading(roff, "SEE ALSO");
    let last = pages.len() - 1;
    for (at, page) in pages.iter().enumerate() {
        let (name, section) = page.split_once('(').unwrap_or((page, ""));
        let comma = if at < last { "," } else { "" };
        roff.control("BR", [name, &format!("({section}{comma}")]);
    }
}

/// Renders text of a help: paragraphs are apart, and the line breaks of indented lines, which are
/// tables and examples, stay.
fn render(text: &str, roff: &mut Roff) {
    let (mut is_example, mut is_first, mut gap) = (false, true, false);
    for line in text.lines() {
        if line.is_empty() {
            // It belongs to what it stands in, which the next line tells.
            gap = true;
            continue;
        }
        match (is_example, line.starts_with(' ')) {
            (false, true) if is_first => roff.control("nf", []),
            (false, true) => roff.control("PP", []).control("nf", []),
            (true, false) => roff.control("fi", []).control("PP", []),
            (true, true) if gap => roff.text([roman("")]),
            (false, false) if gap && !is_first => roff.control("PP", []),
            _ => &mut *roff,
        };
        roff.text([roman(line)]);
        (is_example, is_first, gap) = (line.starts_with(' '), false, false);
    }
    if is_example {
        roff.control("fi", []);
    }
}

/// The page without the line breaks that the generator puts next to vertical space, where they do
/// nothing and programs that check pages complain.
fn without_idle_breaks(page: &str) -> String {
    let lines: Vec<&str> = page.lines().collect();
    let is_space = |at: Option<usize>| {
        let line = at.and_then(|at| lines.get(at));
        line.is_none_or(|line| {
            line.is_empty()
                || [".sp", ".br", ".RS", ".TP"]
                    .iter()
                    .any(|m| line.starts_with(m))
        })
    };
    let mut kept = String::with_capacity(page.len());
    for (at, line) in lines.iter().enumerate() {
        let is_idle = *line == ".br" && (is_space(at.checked_sub(1)) || is_space(Some(at + 1)));
        if !is_idle {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
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
