// SPDX-License-Identifier: Apache-2.0
//! What a server's log has when its peers misbehave: the library's own records, as a program's
//! logger sees them.
#![allow(clippy::unwrap_used, reason = "what a test sets up must be there")]

mod common;

use avf_rpc::library_log;
use common::{connect, handshake, server};
use log::{LevelFilter, Log, Metadata, Record};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

/// What the library and the server logged, and what a program shows of it.
static LINES: Mutex<(Vec<String>, Vec<String>)> = Mutex::new((Vec::new(), Vec::new()));

struct Recorder;

impl Log for Recorder {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &Record<'_>) {
        let text = record.args().to_string();
        let shown = library_log::admit(record).map(|number| format!("{text}{number}"));
        let mut lines = LINES.lock().unwrap();
        lines.1.extend(shown);
        lines.0.push(text);
    }
    fn flush(&self) {}
}

fn taken() -> (Vec<String>, Vec<String>) {
    std::mem::take(&mut *LINES.lock().unwrap())
}

/// Waits until the server has closed the connection.
fn until_closed(stream: &mut UnixStream) {
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut rest);
}

/// One test, since there is one logger in a process.
#[test]
fn peers_do_not_fill_the_log_and_ordinary_ends_are_silent() {
    log::set_logger(&Recorder).unwrap();
    log::set_max_level(LevelFilter::Warn);
    let server = server();

    // Peers that hang up before, in and after the handshake.
    for sent in [0, 5, 16, handshake().len()] {
        let mut peer = connect(&server);
        peer.write_all(&handshake()[..sent]).unwrap();
        if sent == handshake().len() {
            peer.read_exact(&mut [0; 8]).unwrap();
        }
        peer.shutdown(Shutdown::Write).unwrap();
        until_closed(&mut peer);
    }
    let (logged, shown) = taken();
    assert_eq!(shown, [""; 0], "of {logged:?}");

    // Peers that speak something else.
    const BAD: usize = 500;
    for _ in 0..BAD {
        let mut peer = connect(&server);
        // It may be closed before everything is written.
        let _ = peer.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        until_closed(&mut peer);
    }
    let (logged, shown) = taken();
    assert!(logged.len() >= BAD, "{}", logged.len());
    assert!((1..=24).contains(&shown.len()), "{shown:#?}");
    assert!(
        shown.last().unwrap().contains("256 times so far"),
        "{shown:#?}"
    );
}
