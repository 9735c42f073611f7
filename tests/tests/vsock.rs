// SPDX-License-Identifier: Apache-2.0
//! Plain streams between host and guest: whole, both ways, and refused where nothing listens.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread;
use system_tests::guest::{config, config_of, guests, service, start};
use system_tests::host;
use vm_demo::bulk::{ECHO_PORT, SINK_PORT, SOURCE_PORT, Tally, write_pattern};
use vmclient::VmInstance;

/// Bytes of a large transfer.
const LARGE: u64 = 64 << 20;
/// And of a small one.
const SMALL: u64 = 1 << 20;

fn connect(vm: &VmInstance, port: u32) -> OwnedFd {
    vm.connect_vsock(port)
        .unwrap_or_else(|e| panic!("port {port}: {e:?}"))
}

/// Ends the writing side; the descriptor may be of either family.
fn end_of_input(fd: &OwnedFd) {
    rustix::net::shutdown(fd, rustix::net::Shutdown::Write).unwrap();
}

/// What the pattern's first `length` bytes tally to.
fn expected(length: u64) -> Tally {
    let (mut read, write) = UnixStream::pair().unwrap();
    let writer = thread::spawn(move || write_pattern(&mut &write, length));
    let tally = Tally::of(&mut read).unwrap();
    writer.join().unwrap().unwrap();
    tally
}

fn send_to_guest(vm: &VmInstance, length: u64) -> Tally {
    let fd = connect(vm, SINK_PORT);
    let mut file = File::from(fd.try_clone().unwrap());
    write_pattern(&mut file, length).unwrap();
    end_of_input(&fd);
    Tally::read(&mut file).unwrap()
}

fn receive_from_guest(vm: &VmInstance, length: u64) -> Tally {
    let mut file = File::from(connect(vm, SOURCE_PORT));
    file.write_all(&length.to_le_bytes()).unwrap();
    Tally::of(&mut file).unwrap()
}

#[test]
fn streams_are_whole_in_both_directions() {
    host::run("streams_are_whole_in_both_directions", |host| {
        let wanted = expected(LARGE);
        assert_eq!(wanted.bytes, LARGE);
        for guest in guests(host) {
            println!("kernel: {guest}");
            let manager = host.early();
            let vm = start(&manager, config_of(host, &guest, &["--echo"]));
            let demo = service(&manager, &vm);
            assert_eq!(send_to_guest(&vm, LARGE), wanted);
            assert_eq!(receive_from_guest(&vm, LARGE), wanted);
            // Both at once, beside small ones, while the service answers.
            thread::scope(|scope| {
                let threads = [
                    scope.spawn(|| send_to_guest(&vm, LARGE / 4) == expected(LARGE / 4)),
                    scope.spawn(|| receive_from_guest(&vm, LARGE / 4) == expected(LARGE / 4)),
                    scope.spawn(|| (0..20).all(|_| send_to_guest(&vm, SMALL) == expected(SMALL))),
                ];
                for n in 0..20 {
                    assert_eq!(demo.addInteger(n, 1).unwrap(), n + 1);
                }
                assert!(threads.into_iter().all(|t| t.join().unwrap()));
            });
        }
    });
}

/// A connection that no one reads stalls itself alone, and an end of input goes through.
#[test]
fn a_stalled_stream_stalls_no_other() {
    host::run("a_stalled_stream_stalls_no_other", |host| {
        let manager = host.early();
        let vm = start(&manager, config(host, &["--echo"]));
        let demo = service(&manager, &vm);
        let mut stalled = File::from(connect(&vm, SOURCE_PORT));
        stalled.write_all(&LARGE.to_le_bytes()).unwrap();
        for n in 0..10 {
            assert_eq!(demo.addInteger(n, n).unwrap(), 2 * n);
            let fd = connect(&vm, ECHO_PORT);
            let mut file = File::from(fd.try_clone().unwrap());
            write_pattern(&mut file, 1000).unwrap();
            end_of_input(&fd);
            assert_eq!(Tally::of(&mut file).unwrap(), expected(1000));
        }
        // The stalled one is still whole.
        assert_eq!(Tally::of(&mut stalled).unwrap(), expected(LARGE));
    });
}

#[test]
fn a_port_where_nothing_listens_refuses() {
    host::run("a_port_where_nothing_listens_refuses", |host| {
        let manager = host.early();
        let vm = start(&manager, config(host, &[]));
        let demo = service(&manager, &vm);
        for _ in 0..100 {
            let error = vm.connect_vsock(4444).unwrap_err().to_string();
            assert!(error.contains("4444"), "{error}");
        }
        for port in [0, 1, 21, 1023] {
            let error = vm.connect_vsock(port).unwrap_err().to_string();
            assert!(error.contains(&format!("port {port}")), "{error}");
        }
        assert_eq!(demo.addInteger(1, 2).unwrap(), 3);
    });
}
