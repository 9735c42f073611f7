// SPDX-License-Identifier: Apache-2.0
//! Running other programs: shown before they run, their failure named.

use anyhow::{Context, Result, ensure};
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

/// Prints a line to standard output. Unlike `println!` it does not panic where no one reads.
macro_rules! say {
    ($($text:tt)*) => { $crate::steps::print(std::io::stdout(), format_args!($($text)*)) };
}
/// Prints a line to standard error, as [`say`] does.
macro_rules! tell {
    ($($text:tt)*) => { $crate::steps::print(std::io::stderr(), format_args!($($text)*)) };
}
pub(crate) use {say, tell};

/// What [`say`] and [`tell`] call.
pub(crate) fn print(mut to: impl Write, text: fmt::Arguments<'_>) {
    let line = format!("{text}\n");
    let _ = to.write_all(line.as_bytes()).and_then(|()| to.flush());
}

/// Prints a heading that stands out between the output of programs.
pub(crate) fn heading(text: &str) {
    say!("\n=== {text}");
}

/// Runs `step` under a heading and says how long it took; an error names the step.
pub(crate) fn step<T>(name: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
    heading(name);
    let begin = Instant::now();
    let result = step().with_context(|| format!("step \"{name}\" failed"))?;
    say!("=== {name}: done in {:.1} s", begin.elapsed().as_secs_f64());
    Ok(result)
}

/// Runs `command` to its end, showing it and its output.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    show(command);
    let status = command
        .status()
        .with_context(|| format!("start {}", line(command)))?;
    ensure!(status.success(), "{}: {status}", line(command));
    Ok(())
}

/// Runs `command` as [`run`] does and also returns what it printed, standard error included.
pub(crate) fn run_and_keep(command: &mut Command) -> Result<String> {
    let (kept, status) = run_and_watch(command)?;
    ensure!(status.success(), "{}: {status}", line(command));
    Ok(kept)
}

/// As [`run_and_keep`], for a command whose failure is not an error here.
pub(crate) fn run_and_watch(command: &mut Command) -> Result<(String, ExitStatus)> {
    show(command);
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    let errors = writer.try_clone().context("cannot make a pipe")?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(errors)
        .spawn()
        .with_context(|| format!("start {}", line(command)))?;
    // The command holds the pipe's writing end, twice; without it the pipe ends with the child.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut kept = String::new();
    for text in BufReader::new(reader).split(b'\n') {
        let text = text.context("read the program's output")?;
        let text = String::from_utf8_lossy(&text);
        say!("{text}");
        kept.push_str(&text);
        kept.push('\n');
    }
    let status = child.wait().context("wait for the program")?;
    Ok((kept, status))
}

/// Runs `command` and returns its standard output as text.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    String::from_utf8(output_bytes(command)?)
        .with_context(|| format!("{}: the output is not text", line(command)))
}

/// Runs `command` and returns its standard output.
pub(crate) fn output_bytes(command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .output()
        .with_context(|| format!("start {}", line(command)))?;
    ensure!(
        output.status.success(),
        "{}: {}: {}",
        line(command),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(output.stdout)
}

fn show(command: &Command) {
    say!("+ {}", line(command));
}

/// The command as one would type it, with the variables that are set for it.
pub(crate) fn line(command: &Command) -> String {
    let quote = |text: &std::ffi::OsStr| {
        let text = text.to_string_lossy();
        if text.contains([' ', '"', '$']) {
            format!("'{text}'")
        } else {
            text.into_owned()
        }
    };
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_string_lossy(), quote(value?))));
    let words = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(quote);
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    /// Nothing is printed where no one reads, and nothing panics.
    #[test]
    fn a_reader_that_is_gone_is_no_panic() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        print(writer, format_args!("a line"));
    }

    #[test]
    fn output_of_both_kinds_is_kept() {
        assert_eq!(
            run_and_keep(&mut sh("echo out; echo err >&2")).unwrap(),
            "out\nerr\n"
        );
    }

    #[test]
    fn a_failure_names_the_command() {
        for result in [
            run(&mut sh("exit 3")),
            run_and_keep(&mut sh("exit 3")).map(drop),
            output(sh("echo why >&2; exit 3").env("A", "b c")).map(drop),
        ] {
            let text = result.unwrap_err().to_string();
            assert!(
                text.contains("sh -c") && text.contains("exit status: 3"),
                "{text}"
            );
        }
        let text = output(sh("echo why >&2; exit 3").env("A", "b c"))
            .unwrap_err()
            .to_string();
        assert!(
            text.starts_with("A='b c' sh") && text.ends_with(": why"),
            "{text}"
        );
    }
}
