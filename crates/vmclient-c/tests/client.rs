// SPDX-License-Identifier: Apache-2.0
//! A C program that links the library, statically and dynamically, with real managers and with
//! programs that are none.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what a test sets up must be there"
)]

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// Where `cargo xtask dist` put the programs.
const DIST_VARIABLE: &str = "VIRTMGR_DIST";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Static,
    Dynamic,
}

const BOTH: [Link; 2] = [Link::Static, Link::Dynamic];

/// The C program, and a directory for what a test needs.
struct Client {
    dir: TempDir,
    link: Link,
}

impl Client {
    /// Compiles the program and links it with the library of this build.
    fn build(link: Link) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let built = built();
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut cc = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
        cc.args([
            "-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-pthread", "-o",
        ])
        .arg(dir.path().join("client"))
        .arg("-I")
        .arg(here.join("include"))
        .arg(here.join("tests/client.c"));
        match link {
            Link::Static => cc
                .arg(built.join("libvmclient_c.a"))
                .args(["-ldl", "-lm", "-lgcc_s"]),
            Link::Dynamic => {
                // As it is installed: the linker's name and the one that programs look for.
                for name in ["libvmclient_c.so", "libvmclient_c.so.0"] {
                    symlink(built.join("libvmclient_c.so"), dir.path().join(name)).unwrap();
                }
                cc.arg("-L").arg(dir.path()).arg("-lvmclient_c")
            }
        };
        let output = cc.output().expect("a C compiler, as Rust itself needs one");
        assert!(output.status.success(), "{link:?}: {}", text(&output));
        Self { dir, link }
    }

    /// The program with `args`, in an environment with only `path` as PATH.
    fn command(&self, path: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(self.dir.path().join("client"));
        command
            .args(args)
            .env_clear()
            .env("PATH", path)
            .current_dir(self.dir.path());
        if self.link == Link::Dynamic {
            command.env("LD_LIBRARY_PATH", self.dir.path());
        }
        command
    }

    /// Runs it to its end, which must be a good one; returns what it printed.
    fn run(&self, path: &Path, args: &[&str]) -> String {
        let output = self.command(path, args).output().unwrap();
        let text = text(&output);
        assert!(output.status.success(), "{:?} {args:?}: {text}", self.link);
        assert!(text.contains("ok\n"), "{:?} {args:?}: {text}", self.link);
        text
    }

    /// A program in its directory, which is a shell script.
    fn script(&self, name: &str, mode: u32, text: &str) -> String {
        let file = self.dir.path().join(name);
        fs::write(&file, format!("#!/bin/bash\n{text}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        file.to_str().unwrap().to_owned()
    }
}

/// Both of the program's outputs.
fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The directory of this build's libraries: Cargo puts them beside the tests.
fn built() -> PathBuf {
    env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// A directory that has the manager `name`: the distribution, else Cargo's own of this profile.
fn managers(name: &str) -> Option<PathBuf> {
    let dist = env::var_os(DIST_VARIABLE).map(PathBuf::from);
    let profile = built().parent().map(Path::to_owned);
    let found = dist
        .into_iter()
        .chain(profile)
        .find(|dir| dir.join(name).is_file());
    if found.is_none() {
        skip::skip!("no {name}: run `cargo xtask test`, or build it with Cargo");
    }
    found
}

const NOWHERE: &str = "/nonexistent";

#[test]
fn a_manager_is_found_serves_and_ends_with_the_descriptor() {
    for (manager, command) in [("virtmgr", "serves"), ("early_virtmgr", "serves-early")] {
        let Some(dir) = managers(manager) else {
            continue;
        };
        for link in BOTH {
            let client = Client::build(link);
            client.run(&dir, &[command]);
            let program = dir.join(manager);
            let program = program.to_str().unwrap();
            client.run(NOWHERE.as_ref(), &["serves-at", program]);
        }
    }
}

#[test]
fn a_manager_beside_the_program_comes_first() {
    let Some(dir) = managers("virtmgr") else {
        return;
    };
    let client = Client::build(Link::Static);
    symlink(dir.join("virtmgr"), client.dir.path().join("virtmgr")).unwrap();
    client.run(NOWHERE.as_ref(), &["serves"]);
    // A path without a slash is one of the working directory.
    client.run(NOWHERE.as_ref(), &["serves-at", "virtmgr"]);
}

#[test]
fn threads_can_start_managers_at_once() {
    let Some(dir) = managers("virtmgr") else {
        return;
    };
    let program = dir.join("virtmgr");
    for link in BOTH {
        Client::build(link).run(NOWHERE.as_ref(), &["at-once", program.to_str().unwrap()]);
    }
}

#[test]
fn a_failure_has_its_code_and_its_reason() {
    for link in BOTH {
        let client = Client::build(link);
        let fails = |program: &str, code: i32, words: &[&str]| {
            let text = client.run(NOWHERE.as_ref(), &["fails", program]);
            assert!(text.starts_with(&format!("code {code}: ")), "{text}");
            for word in words {
                assert!(text.contains(word), "{word:?} is not in {text}");
            }
        };
        fails(
            "/nonexistent/virtmgr",
            libc::ENOENT,
            &["/nonexistent/virtmgr", "No such file"],
        );
        fails("", libc::EINVAL, &["empty"]);
        let plain = client.script("plain", 0o644, "exit 0");
        fails(&plain, libc::EACCES, &[&plain, "Permission denied"]);
        let refuses = client.script("refuses", 0o755, "echo 'not on a Monday' >&2; exit 1");
        fails(
            &refuses,
            libc::ECONNREFUSED,
            &[&refuses, "exit status: 1", "not on a Monday"],
        );
        let forbids = client.script("forbids", 0o755, "echo 'not for you' >&2; exit 77");
        fails(&forbids, libc::EPERM, &[&forbids, "not for you"]);
        let lies = client.script(
            "lies",
            0o755,
            "printf x > /proc/self/fd/$4; exec /bin/sleep 1000",
        );
        fails(&lies, libc::EPROTO, &[&lies, "'x'"]);
        // The real one, where it is looked for by name.
        let text = client.run(NOWHERE.as_ref(), &["fails-early"]);
        assert!(
            text.starts_with(&format!(
                "code {}: no executable early_virtmgr",
                libc::ENOENT
            )) && text.contains("PATH"),
            "{text}"
        );
    }
}

#[test]
fn a_real_manager_that_refuses_says_why() {
    let Some(dir) = managers("virtmgr") else {
        return;
    };
    let client = Client::build(Link::Dynamic);
    let program = dir.join("virtmgr");
    let output = client
        .command(NOWHERE.as_ref(), &["fails", program.to_str().unwrap()])
        .env("VIRTMGR_BOOT_TIMEOUT", "soon")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    assert!(
        printed.starts_with(&format!("code {}: ", libc::ECONNREFUSED))
            && printed.contains("VIRTMGR_BOOT_TIMEOUT=soon"),
        "{printed}"
    );
    // It is also where the program's own errors go.
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("VIRTMGR_BOOT_TIMEOUT=soon"), "{errors}");
}

/// More than a pipe holds, so that a log which no one reads would stop the manager.
const TALKS: &str = "printf o > /proc/self/fd/$4; yes | head -c 300000 >&2; cat <&$2 > /dev/null";

#[test]
fn a_closed_standard_error_ends_neither_client_nor_manager() {
    let client = Client::build(Link::Dynamic);
    let talks = client.script("talks", 0o755, TALKS);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = client.command("/usr/bin:/bin".as_ref(), &["outlives", &talks]);
    let output = command
        .stdout(Stdio::piped())
        .stderr(writer)
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    // Rust's own handling of SIGPIPE is undone for children, so the C program has that of C.
    assert!(
        output.status.success(),
        "{}: {}",
        output.status,
        text(&output)
    );
    assert!(text(&output).contains("ok\n"), "{}", text(&output));
}
