// SPDX-License-Identifier: Apache-2.0
//! The payload's process, and the orphans that end up with process 1.

use crate::cmdline::Program;
use crate::devices;
use crate::failure::{Failure, Kind};
use crate::report::Report;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// As shells have it: a process killed by signal N has the code 128 + N.
const KILLED: i32 = 128;

/// Runs `program` with its output in `log` until it ends; returns its exit code.
pub(crate) fn payload(program: &Program, log: File, report: &mut Report) -> Result<i32, Failure> {
    let failed = |e: &dyn std::fmt::Display| {
        Failure::io(
            Kind::Config,
            format!("start the payload {}", program.path),
            &e,
        )
    };
    let errors = log.try_clone().map_err(|e| failed(&e))?;
    let input = devices::input().map_err(|e| failed(&e))?;
    let child = Command::new(&program.path)
        .args(&program.args)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/")
        .current_dir("/")
        .stdin(input)
        .stdout(log)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(|e| failed(&e))?;
    let pid = Pid::from_child(&child);
    // It runs. Hold it until the host knows, so that its own "ready" cannot come before "started";
    // a payload that has ended in the meantime is not held, which is as well.
    let _ = kill_process(pid, Signal::STOP);
    report.started();
    let _ = kill_process(pid, Signal::CONT);
    reap_until(pid)
}

/// Waits for children, of which most may be strangers' orphans, until `payload` has ended.
fn reap_until(payload: Pid) -> Result<i32, Failure> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == payload => return Ok(code(status)),
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(Failure::io(Kind::Runtime, "wait for the payload", &e)),
        }
    }
}

fn code(status: WaitStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => KILLED + signal,
        (None, None) => KILLED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes of real processes, as the shell shows them.
    #[test]
    fn codes_are_those_of_a_shell() {
        for script in ["exit 0", "exit 77", "kill -9 $$", "kill -15 $$"] {
            let shown = Command::new("sh")
                .args(["-c", &format!("sh -c '{script}'; echo $?")])
                .output()
                .unwrap()
                .stdout;
            let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
            let pid = Pid::from_child(&child);
            let (_, status) = rustix::process::waitpid(Some(pid), WaitOptions::empty())
                .unwrap()
                .unwrap();
            // Reaped above already; this ends the handle.
            assert!(child.wait().is_err());
            assert_eq!(
                code(status).to_string(),
                String::from_utf8(shown).unwrap().trim()
            );
        }
    }
}
