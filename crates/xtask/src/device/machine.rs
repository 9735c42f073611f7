// SPDX-License-Identifier: Apache-2.0
//! The machine: QEMU, with a line each for the command's output, its errors and its end.

use crate::steps::{line, tell};
use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs;
use std::io::{self, BufRead, BufReader, PipeReader, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The device's memory: that of guests and of what the command writes.
const MEMORY: &str = "4G";
/// Bytes of the command's output that are kept for whoever counts its tests.
const KEPT: usize = 16 << 20;
/// Lines of the console that are shown of a device that has crashed.
const LAST_LINES: usize = 40;
/// What both processors' makers call the setting that lets guests have guests.
const NESTED: [&str; 2] = [
    "/sys/module/kvm_intel/parameters/nested",
    "/sys/module/kvm_amd/parameters/nested",
];
/// The device's kernel: no self tests, no patching for a number of CPUs that is known; both take
/// an emulated one a while.
const PARAMS: &str =
    "console=ttyS0 loglevel=4 panic=-1 cryptomgr.notests noreplace-smp mitigations=off";

/// Keeps the kernel from starting its second CPU.
const ONE_CPU: &str = "maxcpus=1";

/// The CPUs that a device's kernel uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cpus {
    /// One: nothing runs while code is patched.
    One,
    /// Two: faster.
    Two,
}

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// Not at all: the machine itself crashed.
    Crash,
}

/// A machine that has not been started.
pub(crate) struct Machine {
    command: Command,
    initrd: PathBuf,
    console: PathBuf,
    /// What the device writes on its three lines, and the writing ends until QEMU has them.
    output: PipeReader,
    errors: PipeReader,
    status: PipeReader,
    lines: Vec<io::PipeWriter>,
}

impl Machine {
    /// A machine with the host's files, a kernel and an initramfs, which it removes.
    pub(super) fn new(
        kernel: &Path,
        initrd: PathBuf,
        directory: &Path,
        cpus: Cpus,
    ) -> Result<Self> {
        let console = directory.join("console.log");
        let params = match cpus {
            Cpus::One => format!("{PARAMS} {ONE_CPU}"),
            Cpus::Two => PARAMS.to_owned(),
        };
        let mut command = qemu(kernel, &initrd, &console, &params);
        command
            .arg("-fsdev")
            .arg("local,id=host,path=/,security_model=none,readonly=on,multidevs=remap")
            .args(["-device", "virtio-9p-pci,fsdev=host,mount_tag=host"])
            .args(["-device", "virtio-serial-pci"]);
        let mut lines = Vec::new();
        let mut port = |name: &str| {
            let (reader, writer) = io::pipe().context("cannot make a pipe")?;
            // QEMU opens it by the name that our own process has for it.
            let path = format!("/proc/{}/fd/{}", std::process::id(), writer.as_raw_fd());
            command
                .args(["-chardev", &format!("file,id={name},path={path}")])
                .args([
                    "-device",
                    &format!("virtserialport,name={name},chardev={name}"),
                ]);
            lines.push(writer);
            Ok::<_, anyhow::Error>(reader)
        };
        Ok(Self {
            output: port("output")?,
            errors: port("errors")?,
            status: port("status")?,
            lines,
            command,
            initrd,
            console,
        })
    }

    /// Runs it to its end. Returns also what its command printed: its output, then its errors.
    pub(crate) fn run(mut self, timeout: Duration, verbose: bool) -> Result<(End, String)> {
        let begin = Instant::now();
        let mut child = self
            .command
            .spawn()
            .with_context(|| format!("start {}", line(&self.command)))?;
        let output = copy(self.output, io::stdout());
        let errors = copy(self.errors, io::stderr());
        let status = watch(self.status, begin);
        let ended = wait(&mut child, timeout);
        // With QEMU gone, and our own writing ends, the readers come to their end.
        drop(self.lines);
        let _ = fs::remove_file(&self.initrd);
        let mut printed = Vec::new();
        for thread in [output, errors] {
            printed.extend(thread.join().unwrap_or_default());
        }
        let printed = String::from_utf8_lossy(&printed).into_owned();
        let end = status.join().unwrap_or_default();
        let text = fs::read(&self.console).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        if verbose {
            tell!("{text}");
        }
        if let (Ok(()), Some(end)) = (&ended, end) {
            return Ok((end, printed));
        }
        tell!("{}", last_lines(&text));
        ended?;
        tell!(
            "device: it ended without a status; the end of its console is above, all of it in {}",
            self.console.display()
        );
        Ok((End::Crash, printed))
    }
}

/// QEMU with what every machine has.
pub(crate) fn qemu(kernel: &Path, initrd: &Path, console: &Path, params: &str) -> Command {
    // It must not outlive us, whatever ends us.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
    let nested = NESTED
        .iter()
        .any(|path| fs::read_to_string(path).is_ok_and(|text| matches!(text.trim(), "Y" | "1")));
    let can_open = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_ok();
    if nested && can_open {
        command.args(["-machine", "q35,accel=kvm", "-cpu", "host"]);
    } else {
        command.args(["-machine", "q35,accel=tcg", "-cpu", "max,+svm"]);
    }
    command
        .args(["-smp", "2", "-m", MEMORY, "-nodefaults", "-no-user-config"])
        .args(["-display", "none", "-no-reboot"])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initrd)
        .args(["-append", params])
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .args(["-device", "virtio-rng-pci"])
        .stdin(Stdio::null());
    command
}

/// Waits for QEMU to end, and ends it if that takes too long.
pub(crate) fn wait(child: &mut Child, timeout: Duration) -> Result<()> {
    let pid = Pid::from_child(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).context("open QEMU's pidfd")?;
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    let limit = Timespec::try_from(timeout).context("the time limit")?;
    let in_time = poll(&mut fds, Some(&limit)).context("wait for QEMU")? > 0;
    if !in_time {
        child.kill().context("end QEMU")?;
    }
    let status = child.wait().context("wait for QEMU")?;
    if !in_time {
        bail!(
            "the device did not end in {} s; see --timeout",
            timeout.as_secs()
        );
    }
    if !status.success() {
        bail!("QEMU: {status}");
    }
    Ok(())
}

/// Copies what arrives, as it arrives, and keeps the end of it.
fn copy(mut from: PipeReader, mut to: impl Write + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        let mut buffer = [0; 64 << 10];
        // Where no one reads our output any more, the device is not to be held up.
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            let _ = to.write_all(&buffer[..n]).and_then(|()| to.flush());
            kept.extend_from_slice(&buffer[..n]);
            if kept.len() > KEPT {
                kept.drain(..kept.len() - KEPT);
            }
        }
        kept
    })
}

/// Reads how the device does: that it is up, then how its command ended.
fn watch(from: PipeReader, begin: Instant) -> JoinHandle<Option<End>> {
    std::thread::spawn(move || {
        let mut end = None;
        for text in BufReader::new(from).lines().map_while(io::Result::ok) {
            if text == "up" {
                tell!("device: up after {:.1} s", begin.elapsed().as_secs_f64());
            } else {
                end = parse(&text).or(end);
            }
        }
        end
    })
}

fn parse(text: &str) -> Option<End> {
    let (word, number) = text.split_once(' ')?;
    let number = number.parse().ok()?;
    match word {
        "exit" => Some(End::Exit(number)),
        "signal" => Some(End::Signal(number)),
        _ => None,
    }
}

/// The end of a console's text.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_status_or_a_signal() {
        assert_eq!(parse("exit 7"), Some(End::Exit(7)));
        assert_eq!(parse("signal 9"), Some(End::Signal(9)));
        for other in ["up", "exit", "exit x", ""] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_crash_shows_the_last_lines() {
        let text: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let shown = last_lines(&text);
        assert!(shown.starts_with("line 60\n") && shown.ends_with("line 99"));
        assert_eq!(last_lines("one"), "one");
    }
}
