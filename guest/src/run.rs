// SPDX-License-Identifier: Apache-2.0
//! The payload's process, and the orphans that process 1 inherits.

use crate::cmdline::Program;
use crate::devices;
use crate::executable;
use crate::failure::{Failure, Kind};
use crate::report::Report;
use rustix::fs::Access;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// As in shells, a process that signal N killed has the code 128 + N.
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
    // The host is told of the start before the payload can say anything itself. Holding back a running
    // payload would interrupt its first system calls, so everything is checked beforehand.
    check(&program.path).map_err(|e| failed(&e))?;
    let errors = log.try_clone().map_err(|e| failed(&e))?;
    let input = devices::input().map_err(|e| failed(&e))?;
    report.started();
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
    reap_until(Pid::from_child(&child))
}

/// Checks that there is a program at `path` that can be executed here.
fn check(path: &str) -> io::Result<()> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    rustix::fs::access(path, Access::EXEC_OK)?;
    executable::check(&File::open(path)?)
}

/// Waits for children until `payload` has ended. Orphans of other processes are reaped on the way.
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

    #[test]
    fn only_programs_are_started() {
        check("/bin/sh").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        let path = file.to_str().unwrap();
        let says = |part: &str| {
            let error = check(path).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        says("No such file");
        std::fs::write(&file, "no program").unwrap();
        says("Permission denied");
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        says("neither an ELF file nor a script");
        assert!(check("/").unwrap_err().to_string().contains("not a file"));
    }

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
