// SPDX-License-Identifier: Apache-2.0
//! Running other programs: shown before they run, their failure named.

use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Prints a heading that stands out between the output of programs.
pub(crate) fn heading(text: &str) {
    println!("\n=== {text}");
    // Programs write past our buffer.
    let _ = std::io::stdout().flush();
}

/// Runs `step` under a heading and says how long it took; an error names the step.
pub(crate) fn step<T>(name: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
    heading(name);
    let begin = Instant::now();
    let result = step().with_context(|| format!("step \"{name}\" failed"))?;
    println!("=== {name}: done in {:.1} s", begin.elapsed().as_secs_f64());
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
    show(command);
    let (reader, writer) = std::io::pipe().context("make a pipe")?;
    let errors = writer.try_clone().context("make a pipe")?;
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
        println!("{text}");
        kept.push_str(&text);
        kept.push('\n');
    }
    let status = child.wait().context("wait for the program")?;
    if !status.success() {
        bail!("{}: {status}", line(command));
    }
    Ok(kept)
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
    println!("+ {}", line(command));
    let _ = std::io::stdout().flush();
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
