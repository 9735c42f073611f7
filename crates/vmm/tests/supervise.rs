// SPDX-License-Identifier: Apache-2.0
//! VMMs that are started through a script: nothing of them is left, however they end. This program
//! is its own supervisor, as a manager is, so it has no test harness of the standard library's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use vmm::child::{Child, Exit};
use vmm::launch::Launch;
use vmm::supervise;

/// The command by which this program plays a manager that is killed.
const MANAGER: &str = "manager";
/// How long an end may take on a busy machine.
const LIMIT: Timespec = Timespec {
    tv_sec: 60,
    tv_nsec: 0,
};

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(command) if command == supervise::COMMAND => match supervise::run(arguments) {
            Ok(exit) => supervise::exit_like(exit),
            Err(e) => {
                eprintln!("{e}");
                std::process::exit(1);
            }
        },
        Some(command) if command == MANAGER => manage(&PathBuf::from(arguments.next().unwrap())),
        _ => {}
    }
    // As a harness does: some of the tests by parts of their names, or only the names.
    let words: Vec<String> = std::env::args().skip(1).collect();
    let wanted: Vec<_> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let chosen = TESTS.iter().filter(|(name, _)| {
        wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()))
    });
    let mut count = 0;
    for (name, test) in chosen {
        if words.iter().any(|word| word == "--list") {
            println!("{name}: test");
            continue;
        }
        let directory = tempfile::tempdir().unwrap();
        test(&Scripts(directory.path()));
        println!("test {name} ... ok");
        count += 1;
    }
    if count > 0 {
        println!("\ntest result: ok. {count} passed; 0 failed; 0 ignored");
    }
}

/// A test and its name.
type Test = (&'static str, fn(&Scripts<'_>));

const TESTS: [Test; 6] = [
    ("a_kill_ends_all_descendants", a_kill_ends_all_descendants),
    (
        "a_killed_manager_leaves_nothing",
        a_killed_manager_leaves_nothing,
    ),
    (
        "the_scripts_end_ends_the_rest",
        the_scripts_end_ends_the_rest,
    ),
    ("status_and_streams", status_and_streams),
    ("inherited_files_close", inherited_files_close),
    ("no_signal_is_blocked", no_signal_is_blocked),
];

/// Makes scripts.
struct Scripts<'a>(&'a Path);

impl Scripts<'_> {
    fn make(&self, text: &str) -> PathBuf {
        let path = self.0.join("script");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

/// Starts one process in the script's group, one in a session of its own and one whose parent has
/// ended; prints their numbers.
const DESCENDANTS: &str = "sleep 1000 & echo $!
setsid sh -c 'echo $$; exec sleep 1000' &
sh -c 'sleep 1000 & echo $!'
wait";

fn read_lines(child: &Child, count: usize) -> Vec<String> {
    let mut text = String::new();
    while text.lines().count() < count || !text.ends_with('\n') {
        let mut fds = [PollFd::from_borrowed_fd(child.stderr(), PollFlags::IN)];
        assert_eq!(poll(&mut fds, Some(&LIMIT)).unwrap(), 1, "{text}");
        let mut buffer = [0; 256];
        let read = rustix::io::read(child.stderr(), &mut buffer).unwrap();
        assert_ne!(read, 0, "{text}");
        text += std::str::from_utf8(&buffer[..read]).unwrap();
    }
    text.lines().map(str::to_owned).collect()
}

fn watch(line: &str) -> OwnedFd {
    let pid = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
    pidfd_open(pid, PidfdFlags::empty()).unwrap()
}

fn expect_end(what: &str, pidfd: impl AsFd) {
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    assert_eq!(
        poll(&mut fds, Some(&LIMIT)).unwrap(),
        1,
        "{what} still runs"
    );
}

fn a_kill_ends_all_descendants(scripts: &Scripts<'_>) {
    let child = Launch::new(scripts.make(DESCENDANTS))
        .spawn_supervised()
        .unwrap();
    let started: Vec<_> = read_lines(&child, 3).iter().map(|l| watch(l)).collect();
    child.killer().unwrap().kill();
    assert_eq!(child.wait().unwrap().exit, Exit::Signal(libc::SIGKILL));
    for pidfd in &started {
        expect_end("a descendant", pidfd);
    }
}

/// Starts the script, hands its output on, and does nothing more until it is killed.
fn manage(script: &Path) {
    let child = Launch::new(script.to_owned()).spawn_supervised().unwrap();
    for line in read_lines(&child, 3) {
        println!("{line}");
    }
    println!("{}", child.pid());
    loop {
        std::thread::park();
    }
}

fn a_killed_manager_leaves_nothing(scripts: &Scripts<'_>) {
    let mut manager = Command::new(std::env::current_exe().unwrap())
        .arg(MANAGER)
        .arg(scripts.make(DESCENDANTS))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(manager.stdout.take().unwrap()).lines();
    let started: Vec<_> = lines.take(4).map(|line| watch(&line.unwrap())).collect();
    assert_eq!(started.len(), 4);
    rustix::process::kill_process(Pid::from_child(&manager), Signal::KILL).unwrap();
    manager.wait().unwrap();
    for pidfd in &started {
        expect_end("a process of a killed manager", pidfd);
    }
}

fn the_scripts_end_ends_the_rest(scripts: &Scripts<'_>) {
    // The script ends only when the process has told its number.
    let fifo = scripts.0.join("fifo");
    let script = scripts.make(&format!(
        "mkfifo '{0}'
setsid sh -c 'echo $$; echo ready > \"$0\"; exec sleep 1000' '{0}' &
read x < '{0}'
exit 7",
        fifo.display()
    ));
    let child = Launch::new(script).spawn_supervised().unwrap();
    let started = read_lines(&child, 1)[0].trim().parse().unwrap();
    assert_eq!(child.wait().unwrap().exit, Exit::Code(7));
    // The supervisor has reaped it before its own end.
    assert_eq!(
        rustix::process::test_kill_process(Pid::from_raw(started).unwrap()),
        Err(rustix::io::Errno::SRCH),
        "it still runs"
    );
}

fn no_signal_is_blocked(scripts: &Scripts<'_>) {
    // As in a manager, whose supervisor would inherit it.
    block_sigterm();
    let child = Launch::new(scripts.make("kill -TERM $$; exit 7"))
        .spawn_supervised()
        .unwrap();
    assert_eq!(child.wait().unwrap().exit, Exit::Signal(libc::SIGTERM));
}

/// Blocks SIGTERM in this thread.
#[allow(unsafe_code, reason = "signal masks have no safe form")]
fn block_sigterm() {
    // SAFETY: zeros are a valid set: the empty one.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is initialized, and the signal is a valid one.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGTERM) };
    // SAFETY: the set is initialized, and the old mask is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
}

fn status_and_streams(scripts: &Scripts<'_>) {
    let script = scripts.make("echo out; echo \"$1\" >&2; exit 3");
    let mut launch = Launch::new(script);
    launch.arg("an argument");
    let child = launch.spawn_supervised().unwrap();
    assert_eq!(child.wait().unwrap().exit, Exit::Code(3));
    assert_eq!(read_lines(&child, 2), ["out", "an argument"]);

    let script = scripts.make("kill -SEGV $$");
    let child = Launch::new(script).spawn_supervised().unwrap();
    assert_eq!(child.wait().unwrap().exit, Exit::Signal(libc::SIGSEGV));
}

fn inherited_files_close(scripts: &Scripts<'_>) {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let mut launch =
        Launch::new(scripts.make("eval \"echo inherited >&$1; exec $1>&-\"; exec sleep 1000"));
    let number = launch.pass(write);
    launch.arg(number.to_string());
    let child = launch.spawn_supervised().unwrap();
    // The end comes although the supervisor and the script live.
    let mut text = String::new();
    fs::File::from(read).read_to_string(&mut text).unwrap();
    assert_eq!(text, "inherited\n");
    drop(child);
}
