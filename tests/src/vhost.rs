// SPDX-License-Identifier: Apache-2.0
//! The kernel's vsock, as another program than the manager would use it.

use std::io;
use std::process::{Child, Command, Stdio};
use vsock::{VMADDR_CID_LOCAL, VsockAddr, VsockStream};

/// Holds a CID until it is dropped.
#[derive(Debug)]
pub struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Has a program of its own, a small script in a language whose ioctl needs no unsafe code here,
/// take `cid` with `/dev/vhost-vsock`.
///
/// # Errors
/// What the kernel says.
pub fn hold(cid: u32) -> io::Result<Holder> {
    // VHOST_VSOCK_SET_GUEST_CID of linux/vhost.h.
    let script = "
use strict;
my ($cid) = @ARGV;
open(my $device, '+<', '/dev/vhost-vsock') or die \"open: $!\\n\";
my $number = pack('Q', $cid);
defined(ioctl($device, 0x4008af60, $number)) or die \"ioctl: $!\\n\";
$| = 1;
print \"held\\n\";
sleep;
";
    let mut child = Command::new("perl")
        .args(["-e", script, &cid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut word = [0; 4];
    let out = child
        .stdout
        .as_mut()
        .map(|out| io::Read::read_exact(out, &mut word));
    if matches!(out, Some(Ok(()))) && &word == b"held" {
        return Ok(Holder(child));
    }
    let output = child.wait_with_output()?;
    Err(io::Error::other(
        String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    ))
}

/// Connects to `port` of this machine over vsock's loopback.
///
/// # Errors
/// What the kernel says.
pub fn connect_loopback(port: u32) -> io::Result<VsockStream> {
    VsockStream::connect(&VsockAddr::new(VMADDR_CID_LOCAL, port))
}
