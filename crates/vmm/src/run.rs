// SPDX-License-Identifier: Apache-2.0
//! Programs that are run to their end within a limited time: a VMM that is asked for its help or
//! its version, crosvm's front ends, the platform's tools.

use crate::child::{Child, Exit};
use crate::launch::Launch;
use crate::program::Program;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a program may take to print its help or version, or to make a small file: a second is
/// plenty even on a busy machine.
const PROBE_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of output that are kept: three times crosvm's help.
pub const MAX_OUTPUT: usize = 256 << 10;
/// Reads in a row.
const MAX_READS: usize = 64;

/// How a program ended, and what it printed.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// At most the first [`MAX_OUTPUT`] bytes.
    pub text: String,
}

/// Why there is no [`Output`].
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The program could not be started or waited for.
    #[error(transparent)]
    Failed(#[from] crate::Error),
    /// The program was killed, since it took too long.
    #[error("it did not end within {} s and was killed", .0.as_secs())]
    TimedOut(Duration),
}

/// Waits until `child` has ended, at most for `limit`, and collects its output. A child that takes
/// longer is killed.
pub(crate) fn to_end(child: &Child, limit: Duration) -> Result<Output, RunError> {
    let deadline = Instant::now() + limit;
    let mut output = Vec::new();
    let mut is_open = true;
    let exit = loop {
        // An end of file would be reported over and over, so a closed stream is not polled.
        let mut fds = vec![PollFd::from_borrowed_fd(child.pidfd(), PollFlags::IN)];
        if is_open {
            fds.push(PollFd::from_borrowed_fd(child.stderr(), PollFlags::IN));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // One millisecond more, so that the deadline has passed when the poll times out.
        let timeout = Timespec::try_from(left + Duration::from_millis(1)).ok();
        match poll(&mut fds, timeout.as_ref()) {
            Err(Errno::INTR) => {}
            Err(e) => return Err(crate::Error::io("cannot wait for a program", e).into()),
            Ok(_) => {}
        }
        is_open = is_open && drain(child, &mut output);
        if let Some(ended) = child.try_wait()? {
            break ended.exit;
        }
        if deadline <= Instant::now() {
            child.kill();
            child.wait()?;
            return Err(RunError::TimedOut(limit));
        }
    };
    // What it wrote last.
    drain(child, &mut output);
    Ok(Output {
        exit,
        text: String::from_utf8_lossy(&output).into_owned(),
    })
}

/// Reads what is there, at most what fills a pipe four times, so that a program that writes all the
/// time does not keep its reader here; `false` at the end of the stream.
pub(crate) fn drain(child: &Child, output: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4096];
    for _ in 0..MAX_READS {
        match rustix::io::read(child.stderr(), &mut buffer) {
            Ok(0) => return false,
            Ok(n) => {
                let room = MAX_OUTPUT.saturating_sub(output.len());
                output.extend_from_slice(&buffer[..n.min(room)]);
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return true,
            Err(_) => return false,
        }
    }
    true
}

/// Runs `program` for what it prints on its standard output. It is killed with this process, or after
/// `limit`.
///
/// # Errors
/// If it cannot be started, or takes longer.
pub fn output(
    program: &Path,
    arguments: &[&str],
    directory: Option<&Path>,
    limit: Duration,
) -> Result<Output, RunError> {
    let mut launch = Launch::new(program.to_owned());
    launch.args(arguments).discard_stderr();
    if let Some(directory) = directory {
        launch.current_dir(directory);
    }
    to_end(&launch.spawn()?, limit)
}

/// The same, for a VMM that is asked what it can do.
pub(crate) fn probe(
    program: &Path,
    arguments: &[&str],
    directory: Option<&Path>,
) -> Result<Output, RunError> {
    output(program, arguments, directory, PROBE_LIMIT)
}

/// What `program` says of its version: one line.
///
/// # Errors
/// Why it says nothing.
pub fn version(program: &Program) -> io::Result<String> {
    let argument = match program {
        // crosvm has a command in place of an option.
        Program::Crosvm(_) => "version",
        Program::Qemu(_) => "--version",
    };
    let output = probe(program.path(), &[argument], None).map_err(io::Error::other)?;
    let line = output.text.lines().next().unwrap_or_default().trim();
    match output.exit {
        Exit::Code(0) if !line.is_empty() => Ok(line.to_owned()),
        Exit::Code(0) => Err(io::Error::other("it prints nothing")),
        exit => Err(io::Error::other(format!("it ended with {exit}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Child {
        let mut launch = Launch::new("/bin/sh".into());
        launch.args(["-c", script]);
        launch.spawn().unwrap()
    }

    #[test]
    fn output_and_status() {
        let output = to_end(&shell("echo out; echo err >&2; exit 3"), PROBE_LIMIT).unwrap();
        assert_eq!(output.exit, Exit::Code(3));
        assert_eq!(output.text, "out\nerr\n");
    }

    #[test]
    fn a_program_that_never_ends_is_killed() {
        // It prints all the time, which must not extend its time.
        let child = shell("while :; do echo on and on; done");
        let result = to_end(&child, Duration::from_millis(300));
        assert!(matches!(result, Err(RunError::TimedOut(_))), "{result:?}");
    }

    #[test]
    fn a_program_that_writes_faster_than_it_is_read_is_left_at_times() {
        let mut process = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let pid = rustix::process::Pid::from_child(&process);
        let flags = rustix::process::PidfdFlags::empty();
        let pidfd = rustix::process::pidfd_open(pid, flags).unwrap();
        // A pipe that is never empty.
        let zeros = std::fs::File::open("/dev/zero").unwrap();
        let kill = crate::child::Kill {
            signal: rustix::process::Signal::KILL,
            has_own_group: false,
        };
        let child = Child::new(pid, pidfd, zeros.into(), kill);
        assert!(drain(&child, &mut Vec::new()), "the stream has no end");
        drop(child);
        assert!(process.try_wait().is_err(), "the child was not reaped");
    }

    #[test]
    fn a_closed_stream_does_not_spin() {
        let child = shell("exec >&- 2>&-; exec sleep 1000");
        let before = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let result = to_end(&child, Duration::from_secs(2));
        let after = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        assert!(matches!(result, Err(RunError::TimedOut(_))), "{result:?}");
        let used = Duration::try_from(after).unwrap() - Duration::try_from(before).unwrap();
        assert!(used < Duration::from_millis(500), "{used:?} of CPU time");
    }
}
