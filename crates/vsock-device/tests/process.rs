// SPDX-License-Identifier: Apache-2.0
//! The whole device in a process of its own: the test plays the VMM, the guest's driver and the
//! programs on the host.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test may panic as the test itself may"
)]

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use vhost::vhost_user::message::{VhostUserConfigFlags, VhostUserProtocolFeatures};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

#[expect(
    unreachable_pub,
    dead_code,
    reason = "the module also serves unit tests"
)]
mod driver;
use driver::{Driver, WRITE};

const MEMORY: usize = 1 << 20;
const CID: u32 = 42;
const SIZE: u16 = 64;
const RECEIVE: u64 = 0x1000;
const TRANSMIT: u64 = 0x3000;
const BUFFERS: u64 = 0x10000;
const SCRATCH: u64 = 0x80000;
const PATIENCE: Duration = Duration::from_secs(20);

const REQUEST: u16 = 1;
const RESPONSE: u16 = 2;
const RST: u16 = 3;
const RW: u16 = 5;

/// What the other tests start: the device with the descriptors they hand over.
#[test]
#[ignore = "started by the other tests of this file"]
fn device_process() {
    // SAFETY: the process was started with these three descriptors, which nothing else owns.
    let fd = |number| unsafe { OwnedFd::from_raw_fd(number) };
    let config = vsock_device::Config {
        vhost_user: fd(10),
        guest_cid: vsock_device::GuestCid::new(CID).unwrap(),
        listener: fd(11),
        directory: fd(12),
        prefix: "vs".to_owned(),
    };
    let ended = vsock_device::run(config);
    if let Err(e) = &ended {
        eprintln!("{e:?}");
    }
    // A file was there to be opened before the process was confined.
    let code = match (ended.is_ok(), std::fs::File::open("/dev/null").is_ok()) {
        (true, false) => 0,
        (true, true) => 3,
        (false, _) => 4,
    };
    std::process::exit(code);
}

/// A running device and the sockets around it.
struct Device {
    child: Child,
    vmm: UnixStream,
    directory: tempfile::TempDir,
}

impl Device {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (vmm, device) = UnixStream::pair().unwrap();
        let listener = UnixListener::bind(directory.path().join("vs")).unwrap();
        let search = std::fs::File::open(directory.path()).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "--ignored",
            "--exact",
            "device_process",
            "--nocapture",
            "--quiet",
        ]);
        command
            .fd_mappings(vec![
                FdMapping {
                    parent_fd: device.into(),
                    child_fd: 10,
                },
                FdMapping {
                    parent_fd: listener.into(),
                    child_fd: 11,
                },
                FdMapping {
                    parent_fd: search.into(),
                    child_fd: 12,
                },
            ])
            .unwrap();
        Self {
            child: command.spawn().unwrap(),
            vmm,
            directory,
        }
    }

    fn listen(&self, port: u32) -> UnixListener {
        UnixListener::bind(self.directory.path().join(format!("vs_{port}"))).unwrap()
    }

    fn dial(&self) -> UnixStream {
        let stream = UnixStream::connect(self.directory.path().join("vs")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn hang_up(mut self) -> ExitStatus {
        drop(self.vmm);
        self.child.wait().unwrap()
    }
}

/// A guest with 1 MiB of memory and a driver of two queues.
struct Guest<'m> {
    memory: &'m GuestMemoryMmap,
    frontend: Frontend,
    receive: Driver<'m>,
    transmit: Driver<'m>,
    kicks: [EventFd; 2],
    calls: [EventFd; 2],
    next_buffer: u64,
    buffers: Vec<(u16, u64)>,
}

fn shared_memory() -> GuestMemoryMmap {
    let file = tempfile::tempfile().unwrap();
    file.set_len(u64::try_from(MEMORY).unwrap()).unwrap();
    let range = (GuestAddress(0), MEMORY, Some(FileOffset::new(file, 0)));
    GuestMemoryMmap::from_ranges_with_files([range]).unwrap()
}

impl<'m> Guest<'m> {
    /// Goes through the start of a device as a VMM does.
    fn boot(device: &Device, memory: &'m GuestMemoryMmap) -> Self {
        let mut frontend = Frontend::from_stream(device.vmm.try_clone().unwrap(), 2);
        frontend.set_owner().unwrap();
        let features = frontend.get_features().unwrap();
        let wanted = 1 << 32 | 1 << 30 | 1 << 29 | 1 << 28;
        assert_eq!(
            features & wanted,
            wanted,
            "version 1, protocol features, event index, indirect"
        );
        let protocol = frontend.get_protocol_features().unwrap();
        assert!(protocol.contains(VhostUserProtocolFeatures::CONFIG));
        frontend
            .set_protocol_features(VhostUserProtocolFeatures::CONFIG)
            .unwrap();
        let (_, config) = frontend
            .get_config(0, 8, VhostUserConfigFlags::empty(), &[0; 8])
            .unwrap();
        assert_eq!(config, u64::from(CID).to_le_bytes());
        // Without the event index every packet is announced, which suits a test.
        frontend.set_features(1 << 32 | 1 << 30 | 1 << 28).unwrap();
        let region = memory.iter().next().unwrap();
        let user = memory.get_host_address(GuestAddress(0)).unwrap() as u64;
        let info = VhostUserMemoryRegionInfo::from_guest_region(region).unwrap();
        frontend.set_mem_table(&[info]).unwrap();
        let event = || EventFd::new(EFD_NONBLOCK).unwrap();
        let mut guest = Self {
            memory,
            frontend,
            receive: Driver::new(memory, RECEIVE, SIZE),
            transmit: Driver::new(memory, TRANSMIT, SIZE),
            kicks: [event(), event()],
            calls: [event(), event()],
            next_buffer: BUFFERS,
            buffers: Vec::new(),
        };
        guest.start_queues(user, 0);
        for _ in 0..SIZE / 2 {
            guest.offer_buffer();
        }
        guest
    }

    fn start_queues(&mut self, user: u64, base: u16) {
        for (index, queue) in [&self.receive, &self.transmit].into_iter().enumerate() {
            self.frontend.set_vring_num(index, SIZE).unwrap();
            self.frontend.set_vring_base(index, base).unwrap();
            let layout = VringConfigData {
                queue_max_size: SIZE,
                queue_size: SIZE,
                desc_table_addr: user + queue.table(),
                avail_ring_addr: user + queue.avail_ring(),
                used_ring_addr: user + queue.used_ring(),
                ..VringConfigData::default()
            };
            self.frontend.set_vring_addr(index, &layout).unwrap();
            self.frontend
                .set_vring_kick(index, &self.kicks[index])
                .unwrap();
            self.frontend
                .set_vring_call(index, &self.calls[index])
                .unwrap();
            self.frontend.set_vring_enable(index, true).unwrap();
        }
    }

    fn offer_buffer(&mut self) {
        let at = self.next_buffer;
        self.next_buffer = BUFFERS + (at + 4096 - BUFFERS) % (64 * 4096);
        let head = self.receive.offer(&[(at, 4096, WRITE)]);
        self.buffers.push((head, at));
        self.kicks[0].write(1).unwrap();
    }

    fn send(&mut self, op: u16, host_port: u32, guest_port: u32, data: &[u8]) {
        let mut packet = Vec::new();
        packet.extend(u64::from(CID).to_le_bytes());
        packet.extend(2_u64.to_le_bytes());
        packet.extend(guest_port.to_le_bytes());
        packet.extend(host_port.to_le_bytes());
        packet.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        packet.extend(1_u16.to_le_bytes());
        packet.extend(op.to_le_bytes());
        packet.extend(0_u32.to_le_bytes());
        packet.extend(0x10000_u32.to_le_bytes());
        packet.extend(0_u32.to_le_bytes());
        packet.extend(data);
        self.memory
            .write_slice(&packet, GuestAddress(SCRATCH))
            .unwrap();
        let head = self
            .transmit
            .offer(&[(SCRATCH, u32::try_from(packet.len()).unwrap(), 0)]);
        self.kicks[1].write(1).unwrap();
        let used = wait_for(&self.calls[1], || self.transmit.take_used().pop());
        assert_eq!(used, (u32::from(head), 0));
    }

    /// The next packet: operation, host port and bytes.
    fn receive(&mut self) -> (u16, u32, Vec<u8>) {
        let (head, len) = wait_for(&self.calls[0], || {
            let used = self.receive.take_used();
            assert!(used.len() <= 1, "the tests cause one packet at a time");
            used.into_iter().next()
        });
        let (expected, at) = self.buffers.remove(0);
        assert_eq!(head, u32::from(expected));
        let mut packet = vec![0; usize::try_from(len).unwrap()];
        self.memory
            .read_slice(&mut packet, GuestAddress(at))
            .unwrap();
        assert_eq!(packet[..8], 2_u64.to_le_bytes());
        assert_eq!(packet[8..16], u64::from(CID).to_le_bytes());
        let host_port = u32::from_le_bytes(packet[16..20].try_into().unwrap());
        self.offer_buffer();
        (
            u16::from_le_bytes([packet[30], packet[31]]),
            host_port,
            packet[44..].to_vec(),
        )
    }
}

/// Waits until `look` finds something that the device announced on `call`.
fn wait_for<T>(call: &EventFd, mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = look() {
            return found;
        }
        // SAFETY: `call` keeps its descriptor open for longer than this turn of the loop.
        let fd = unsafe { BorrowedFd::borrow_raw(call.as_raw_fd()) };
        let mut fds = [rustix::event::PollFd::new(
            &fd,
            rustix::event::PollFlags::IN,
        )];
        let timeout = PATIENCE.try_into().unwrap();
        let announced = rustix::event::poll(&mut fds, Some(&timeout)).unwrap();
        assert_eq!(announced, 1, "the device announced nothing");
        let _ = call.read();
    }
}

#[test]
fn both_directions_through_a_confined_process() {
    let device = Device::start();
    let memory = shared_memory();
    // Before the guest has started there is nobody to connect to.
    let mut early = device.dial();
    early.write_all(b"CONNECT 5\n").unwrap();
    assert_eq!(early.read(&mut [0]).unwrap(), 0);

    let mut guest = Guest::boot(&device, &memory);
    let listener = device.listen(7);
    guest.send(REQUEST, 7, 1000, b"");
    let (mut host, _) = listener.accept().unwrap();
    assert_eq!(guest.receive(), (RESPONSE, 7, Vec::new()));
    guest.send(RW, 7, 1000, b"from the guest");
    let mut got = [0; 14];
    host.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"from the guest");
    host.write_all(b"from the host").unwrap();
    assert_eq!(guest.receive(), (RW, 7, b"from the host".to_vec()));
    guest.send(REQUEST, 8, 1000, b"");
    assert_eq!(guest.receive(), (RST, 8, Vec::new()));

    let mut dialled = device.dial();
    dialled.write_all(b"CONNECT 5\nhi").unwrap();
    let (op, port, _) = guest.receive();
    assert_eq!(op, REQUEST);
    guest.send(RESPONSE, port, 5, b"");
    assert_eq!(guest.receive(), (RW, port, b"hi".to_vec()));
    let line = format!("OK {port}\n");
    let mut got = vec![0; line.len()];
    dialled.read_exact(&mut got).unwrap();
    assert_eq!(got, line.as_bytes());

    // The kernel says what the process may do.
    let proc = format!("/proc/{}", device.child.id());
    let status = std::fs::read_to_string(format!("{proc}/status")).unwrap();
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.lines().any(|l| l == line), "{line}");
    }
    let pid = rustix::process::Pid::from_child(&device.child);
    let limit = rustix::process::prlimit(
        Some(pid),
        rustix::process::Resource::Core,
        rustix::process::Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    );
    assert_eq!(limit.unwrap().maximum, Some(0));
    let limits = std::fs::read_to_string(format!("{proc}/limits")).unwrap();
    let files = limits
        .lines()
        .find(|l| l.starts_with("Max open files"))
        .unwrap();
    let most: u64 = files.split_whitespace().nth(4).unwrap().parse().unwrap();
    assert!(most <= 1024, "{files}");
    // Every thread is under the filter, not only the one that runs the device.
    for task in std::fs::read_dir(format!("{proc}/task")).unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        assert!(status.lines().any(|l| l == "Seccomp:\t2"));
    }

    drop(guest);
    assert_eq!(device.hang_up().code(), Some(0));
    assert_eq!(
        dialled.read(&mut [0]).unwrap(),
        0,
        "connections end with the device"
    );
}

/// A pause stops the queues and starts them where they stood; a reboot starts them at zero.
#[test]
fn connections_outlive_a_pause_but_not_a_reboot() {
    let device = Device::start();
    let memory = shared_memory();
    let user = memory.get_host_address(GuestAddress(0)).unwrap() as u64;
    let mut guest = Guest::boot(&device, &memory);
    let listener = device.listen(7);
    guest.send(REQUEST, 7, 1000, b"");
    let (mut host, _) = listener.accept().unwrap();
    assert_eq!(guest.receive(), (RESPONSE, 7, Vec::new()));

    let bases = [
        guest.frontend.get_vring_base(0).unwrap(),
        guest.frontend.get_vring_base(1).unwrap(),
    ];
    assert_eq!(bases, [1, 1], "one packet went through each queue");
    host.write_all(b"meanwhile").unwrap();
    guest.start_queues(user, 1);
    assert_eq!(guest.receive(), (RW, 7, b"meanwhile".to_vec()));

    for index in 0..2 {
        guest.frontend.get_vring_base(index).unwrap();
    }
    guest.receive = Driver::new(&memory, RECEIVE, SIZE);
    guest.transmit = Driver::new(&memory, TRANSMIT, SIZE);
    guest.buffers.clear();
    guest.start_queues(user, 0);
    guest.offer_buffer();
    host.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(host.read(&mut [0]).unwrap(), 0);
    guest.send(REQUEST, 7, 1000, b"");
    listener.accept().unwrap();
    assert_eq!(guest.receive(), (RESPONSE, 7, Vec::new()));
    drop(guest);
    assert_eq!(device.hang_up().code(), Some(0));
}

#[test]
fn a_vmm_that_talks_nonsense_ends_the_device() {
    let mut device = Device::start();
    device.vmm.write_all(&[0xff; 64]).unwrap();
    assert_eq!(device.child.wait().unwrap().code(), Some(4));
}
