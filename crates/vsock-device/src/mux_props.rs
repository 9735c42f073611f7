// SPDX-License-Identifier: Apache-2.0
//! Random guests and hosts: no panic, every bound kept, every byte in its order.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::mux::{MAX_RESETS, Mux};
use crate::packet::{Header, Op};
use crate::rig::{GUEST_ALLOC, Rig};
use crate::table::MAX_BUFFERED;

const GUEST_PORTS: u32 = 4;

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// A packet with these fields; ports are few so that they meet.
    Packet {
        op: u16,
        known: bool,
        port: u32,
        flags: u32,
        len: u32,
        present: usize,
        credit: (u32, u32),
        kind: u16,
    },
    /// The guest takes some packets into buffers of this size.
    Take {
        packets: usize,
        room: usize,
    },
    Dial {
        line: Vec<u8>,
    },
    HostWrites {
        which: usize,
        len: usize,
    },
    HostReads {
        which: usize,
    },
    HostCloses {
        which: usize,
        how: u8,
    },
    Poll,
    TimePasses {
        seconds: u64,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let line = prop_oneof![
        Just(b"CONNECT 1\n".to_vec()),
        Just(b"CONNECT 2\nmore".to_vec()),
        Just(b"CONN".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40),
    ];
    let credit = prop_oneof![
        Just((GUEST_ALLOC, 0)),
        (any::<u32>(), any::<u32>()),
        (0_u32..10, 0_u32..10)
    ];
    let packet = (
        prop_oneof![8 => 0_u16..9, 1 => any::<u16>()],
        any::<bool>(),
        0..GUEST_PORTS,
        prop_oneof![0_u32..4, any::<u32>()],
        prop_oneof![4 => 0_u32..9000, 1 => any::<u32>()],
        0_usize..9000,
        credit,
        prop_oneof![9 => Just(1_u16), 1 => any::<u16>()],
    );
    prop_oneof![
        8 => packet.prop_map(|(op, known, port, flags, len, present, credit, kind)| {
            Step::Packet { op, known, port, flags, len, present, credit, kind }
        }),
        4 => (0_usize..20, 1_usize..5000).prop_map(|(packets, room)| Step::Take { packets, room }),
        2 => line.prop_map(|line| Step::Dial { line }),
        2 => (any::<usize>(), 0_usize..20_000).prop_map(|(which, len)| Step::HostWrites { which, len }),
        2 => any::<usize>().prop_map(|which| Step::HostReads { which }),
        2 => (any::<usize>(), 0_u8..4).prop_map(|(which, how)| Step::HostCloses { which, how }),
        6 => Just(Step::Poll),
        1 => (0_u64..12).prop_map(|seconds| Step::TimePasses { seconds }),
        1 => Just(Step::Restart),
    ]
}

struct World {
    rig: Rig,
    listener: UnixListener,
    hosts: Vec<UnixStream>,
    /// Host ports that the guest was told, by guest port.
    told: BTreeMap<u32, u32>,
}

impl World {
    fn new() -> Self {
        let rig = Rig::new();
        let listener = rig.listen(7);
        listener.set_nonblocking(true).unwrap();
        Self {
            rig,
            listener,
            hosts: Vec::new(),
            told: BTreeMap::new(),
        }
    }

    fn act(&mut self, step: &Step, now: &mut Instant) {
        match *step {
            Step::Packet {
                op,
                known,
                port,
                flags,
                len,
                present,
                credit,
                kind,
            } => {
                let host_port = if known {
                    self.told.get(&port).copied().unwrap_or(7)
                } else {
                    7
                };
                let header = Header {
                    op,
                    flags,
                    len,
                    kind,
                    buf_alloc: credit.0,
                    fwd_cnt: credit.1,
                    ..Rig::header(Op::Rw, host_port, port)
                };
                if self.rig.mux.can_receive() {
                    self.rig.guest_header(&header, &vec![1; present]);
                }
                while let Ok((host, _)) = self.listener.accept() {
                    host.set_nonblocking(true).unwrap();
                    self.hosts.push(host);
                }
            }
            Step::Take { packets, room } => {
                for _ in 0..packets {
                    let Some(packet) = self.rig.take_one(room) else {
                        break;
                    };
                    assert!(packet.data.len() <= room);
                    self.told
                        .insert(packet.header.dst_port, packet.header.src_port);
                }
            }
            Step::Dial { ref line } => {
                let mut host = self.rig.dial();
                let _ = host.write_all(line);
                self.hosts.push(host);
            }
            Step::HostWrites { which, len } => {
                if let Some(host) = self.pick(which) {
                    let _ = host.write(&vec![2; len]);
                }
            }
            Step::HostReads { which } => {
                if let Some(host) = self.pick(which) {
                    let _ = std::io::Read::read(host, &mut [0; 30_000]);
                }
            }
            Step::HostCloses { which, how } => {
                if let Some(host) = self.pick(which) {
                    let _ = match how {
                        0 => host.shutdown(Shutdown::Read),
                        1 => host.shutdown(Shutdown::Write),
                        _ => host.shutdown(Shutdown::Both),
                    };
                }
                if how == 3 && !self.hosts.is_empty() {
                    let which = which % self.hosts.len();
                    self.hosts.swap_remove(which);
                }
            }
            Step::Poll => self.rig.poll(),
            Step::TimePasses { seconds } => {
                *now += Duration::from_secs(seconds);
                self.rig.mux.expire(*now);
            }
            Step::Restart => self.rig.mux.forget_guest(),
        }
    }

    fn pick(&mut self, which: usize) -> Option<&mut UnixStream> {
        let count = self.hosts.len().max(1);
        self.hosts.get_mut(which % count)
    }
}

fn check_bounds(mux: &mut Mux) {
    assert!(mux.buffered() <= MAX_BUFFERED);
    let (connections, queued, resets) = mux.sizes();
    assert!(queued <= connections.max(200));
    assert!(resets <= MAX_RESETS);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_guests_and_hosts_break_nothing(steps in proptest::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        let mut now = Instant::now();
        for step in &steps {
            world.act(step, &mut now);
            check_bounds(&mut world.rig.mux);
        }
        // Whatever was done, the device still serves who plays by the rules.
        world.rig.poll();
        world.rig.take();
        world.rig.mux.forget_guest();
        let (mut host, port) = world.rig.connected(99);
        world.rig.guest_data(b"fine", port, 99);
        prop_assert_eq!(crate::rig::read_some(&mut host), Some(b"fine".to_vec()));
    }

    /// Both directions at once, in pieces of any size and with either side pausing at any time.
    #[test]
    fn bytes_arrive_complete_and_in_order(
        moves in proptest::collection::vec((0_u8..5, 1_usize..9000), 20..200),
    ) {
        let mut rig = Rig::new();
        let listener = rig.listen(7);
        let (mut host, window) = rig.accepted(&listener, 7, 1);
        let window = usize::try_from(window).unwrap();
        let pattern = |at: usize, n: usize| (at..at + n).map(|i| u8::try_from(i % 253).unwrap()).collect::<Vec<u8>>();
        let (mut sent, mut freed, mut host_got) = (0_usize, 0_usize, 0_usize);
        let (mut written, mut guest_got, mut guest_freed) = (0_usize, 0_usize, 0_usize);
        let end = moves.len();
        for (turn, (what, size)) in moves.into_iter().chain([(1, 9000), (2, 9000), (3, 0), (4, 9000)].repeat(300)).enumerate() {
            match what {
                // New bytes only while the random moves last, to let everything arrive after them.
                0 if sent - freed + size <= window => {
                    let wire = u32::try_from(guest_freed).unwrap();
                    let len = u32::try_from(size).unwrap();
                    let header = Header { len, fwd_cnt: wire, ..Rig::header(Op::Rw, 7, 1) };
                    rig.guest_header(&header, &pattern(sent, size));
                    sent += size;
                }
                1 => {
                    let mut buffer = vec![0; size];
                    if let Ok(n) = std::io::Read::read(&mut host, &mut buffer) {
                        prop_assert_eq!(&buffer[..n], &pattern(host_got, n)[..]);
                        host_got += n;
                    }
                }
                2 => {
                    while let Some(packet) = rig.take_one(size) {
                        prop_assert_eq!(&packet.data[..], &pattern(guest_got, packet.data.len())[..]);
                        guest_got += packet.data.len();
                        freed = usize::try_from(packet.header.fwd_cnt).unwrap();
                        prop_assert!(freed <= sent);
                        prop_assert!(guest_got - guest_freed <= usize::try_from(GUEST_ALLOC).unwrap());
                    }
                }
                3 => rig.poll(),
                4 if turn >= end || size % 2 == 0 => {
                    guest_freed = guest_got;
                    let fwd_cnt = u32::try_from(guest_freed).unwrap();
                    rig.guest_header(&Header { fwd_cnt, ..Rig::header(Op::CreditUpdate, 7, 1) }, &[]);
                }
                _ if turn < end => written += host.write(&pattern(written, size)).unwrap_or(0),
                _ => {}
            }
            if turn >= end && host_got == sent && guest_got == written {
                break;
            }
        }
        prop_assert_eq!((host_got, guest_got), (sent, written));
    }
}
