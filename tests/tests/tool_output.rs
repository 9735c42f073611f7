// SPDX-License-Identifier: Apache-2.0
//! What the tool `vm` does with a guest's output, and what it says of a VM that does not answer.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use system_tests::tool::{Running, Terminal, Tool};

/// What the payload logs when it serves.
const READY: &str = "vm_demo_payload: ready";

/// Reads standard output of `child` until it has `text`, and then closes it.
fn read_until(child: &mut Child, text: &str) {
    let mut stdout = child.stdout.take().unwrap();
    let mut seen = String::new();
    let mut chunk = [0; 4096];
    while !seen.contains(text) {
        let count = stdout.read(&mut chunk).unwrap();
        assert!(count > 0, "{text:?} does not come: {seen}");
        seen += &String::from_utf8_lossy(&chunk[..count]);
    }
}

#[test]
fn a_vm_whose_output_nobody_reads_any_more_ends() {
    let Some(tool) = Tool::new("a_vm_whose_output_nobody_reads_any_more_ends") else {
        return;
    };
    let config = tool.guest("unread", "");
    let mut command = tool.command();
    command
        .arg("run")
        .arg(config)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut vm = command.spawn().unwrap();
    // From here on the guest is silent, so no failed write can end it.
    read_until(&mut vm, READY);
    let output = vm.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(141), "{errors}");
    assert_eq!(
        errors,
        "vm: nobody reads standard output any more; ending the VM\n"
    );
    tool.outside().expect_nothing_left();
}

#[test]
fn logs_end_with_their_reader_and_not_with_the_guests_next_line() {
    let Some(tool) = Tool::new("logs_end_with_their_reader_and_not_with_the_guests_next_line")
    else {
        return;
    };
    let config = tool.guest("silent", "");
    let mut vm = Running::start(
        tool.command()
            .arg("run")
            .arg(config)
            .stderr(Stdio::inherit()),
    );
    vm.expect(READY);
    let mut follow = tool
        .command()
        .args(["logs", "-f", "silent"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    read_until(&mut follow, READY);
    // The VM still runs and says nothing.
    assert!(follow.wait().unwrap().success());
    assert!(tool.success(&["list"]).contains("silent"));
    let _ = tool.success(&["stop", "silent"]);
    let _ = vm.finish();
    tool.outside().expect_nothing_left();
}

#[test]
fn console_and_log_can_go_to_one_file() {
    let Some(tool) = Tool::new("console_and_log_can_go_to_one_file") else {
        return;
    };
    let config = tool.guest("one_file", "--exit=0");
    let file = tool.scratch().join("both.txt");
    let run = |file_of_log: &str| {
        let mut command = tool.command();
        command.arg("run").arg(&config).arg("--console").arg(&file);
        let output = command.args(["--log", file_of_log]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        fs::read(&file).unwrap()
    };
    let both = run(file.to_str().unwrap());
    let text = String::from_utf8_lossy(&both).into_owned();
    // Neither overwrites the other: every line is whole, and there are no holes.
    assert!(!both.contains(&0), "{text:?}");
    assert!(text.matches("avf-init: started").count() >= 2, "{text}");
    assert!(text.contains("exit code 0"), "{text}");
    tool.outside().expect_nothing_left();
}

#[test]
fn a_vmm_that_does_not_answer_is_told() {
    let Some(tool) = Tool::new("a_vmm_that_does_not_answer_is_told") else {
        return;
    };
    let vmm = tool.scratch().join("qemu-system-x86_64");
    fs::write(&vmm, "#!/bin/sh\nexec sleep 600\n").unwrap();
    fs::set_permissions(&vmm, fs::Permissions::from_mode(0o755)).unwrap();
    let config = tool.guest("mute", "");
    let mut command = tool.command();
    command.arg("run").arg(config).env("VIRTMGR_VMM", &vmm);
    let mut terminal = Terminal::start(&mut command);
    terminal
        .program
        .expect("the VMM does not answer; waiting for it");
    terminal.program.signal(Signal::INT);
    let (status, text, _) = terminal.finish();
    assert_eq!(status.code(), Some(130), "{text}");
    assert!(!text.contains("error"), "{text}");
    tool.outside().expect_nothing_left();
}

#[test]
fn what_went_wrong_is_told_once_and_in_words() {
    let Some(tool) = Tool::new("what_went_wrong_is_told_once_and_in_words") else {
        return;
    };
    let config = tool.guest("wrong", "");
    let text = fs::read_to_string(&config).unwrap();
    let text = text.replace("/payload/vm_demo_payload", "/payload/not_there");
    fs::write(&config, text).unwrap();
    let mut command = tool.command();
    command
        .arg("run")
        .arg(&config)
        .arg("--console")
        .arg("/dev/null");
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    println!("{errors}");
    assert_eq!(output.status.code(), Some(1), "{errors}");
    let lines: Vec<&str> = errors.lines().collect();
    let unique: BTreeSet<&str> = lines.iter().copied().collect();
    assert_eq!(unique.len(), lines.len(), "{errors}");
    // Neither by the manager, the guest's console and the tool.
    assert_eq!(errors.matches("/payload/not_there").count(), 1, "{errors}");
    let last = lines.last().unwrap();
    assert!(
        last.starts_with("error: the VM died: the guest ") && last.ends_with(')'),
        "{errors}"
    );
    // Without names and numbers of the binder library.
    for word in ["SERVICE_SPECIFIC", "Ok:", "DeadObject", "Errno("] {
        assert!(!errors.contains(word), "{errors}");
    }
    tool.outside().expect_nothing_left();
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let Some(tool) = Tool::new("output_that_cannot_be_written_is_an_error") else {
        return;
    };
    let config = tool.guest("full", "--exit=0");
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = tool.command();
    let output = command
        .arg("run")
        .arg(&config)
        .stdout(full)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    // The guest does not notice, the user does.
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("No space left on device") && errors.contains("the VM runs on"),
        "{errors}"
    );
    tool.outside().expect_nothing_left();
}
