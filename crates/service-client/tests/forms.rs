// SPDX-License-Identifier: Apache-2.0
//! What a manager sends to the global service of each release: transaction codes and bytes, written out
//! here from the contract; and that no call of one form passes for another method of another form.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a test may fail like this, also in what it calls"
)]

use avf_aidl::common::Atom;
use avf_aidl::common::atom::{FsckFailedReported, VmBooted};
use avf_aidl::global::{AtomVmBooted, AtomVmCreationRequested, AtomVmExited};
use avf_rpc::server::{Policy, Server};
use avf_rpc::unix::UnixServer;
use rsbinder::{
    Binder, BinderResult, ExceptionCode, Interface, Parcel, Remotable, Result, Status,
    TransactionCode,
};
use service_client::wire::{
    Argument, DESCRIPTOR, Form, Internal, ListedVm, Method, Release, Wire, fits,
};
use service_client::{SOCKET, Way, connect_as};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};

/// Transaction codes, and the words of their arguments.
type Calls = Vec<(u32, Vec<i32>)>;

/// Notes what is called and refuses it.
#[derive(Default)]
struct Recorder(Arc<Mutex<Calls>>);

impl Remotable for Recorder {
    fn descriptor() -> &'static str {
        DESCRIPTOR
    }

    fn on_transact(
        &self,
        code: TransactionCode,
        reader: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<()> {
        let mut words = Vec::new();
        while reader.data_avail() >= 4 {
            words.push(reader.read_i32()?);
        }
        self.0.lock().unwrap().push((code, words));
        reply.write(&Status::from((ExceptionCode::IllegalState, "noted")))
    }

    fn on_dump(&self, _: &mut dyn Write, _: &[String]) -> Result<()> {
        Ok(())
    }
}

/// What arrives at a service of `release` when these calls are made.
fn sent(release: Release, calls: &[&dyn Fn(&Internal)]) -> Calls {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join(SOCKET);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let recorder = Recorder::default();
    let noted = Arc::clone(&recorder.0);
    let policy = Policy {
        connections: 8,
        threads: 2,
        callbacks: 0,
        call_bytes: None,
        fds: true,
        reply_timeout: None,
    };
    let server = Server::new(Binder::new(recorder).as_binder(), policy).unwrap();
    let _server = UnixServer::start(server, UnixListener::bind(&path).unwrap(), 8).unwrap();
    let service = connect_as(root.path(), &[Way::Socket], Wire::named(release));
    let service = service.unwrap().unwrap();
    for call in calls {
        call(service.internal());
    }
    noted.lock().unwrap().clone()
}

fn refused<T>(answer: BinderResult<T>) {
    let status = answer.err().unwrap();
    assert_eq!(
        status.exception_code(),
        ExceptionCode::IllegalState,
        "{status}"
    );
}

fn unsupported<T>(answer: BinderResult<T>) {
    let status = answer.err().unwrap();
    let code = status.exception_code();
    assert_eq!(code, ExceptionCode::UnsupportedOperation, "{status}");
}

/// "vm" in a parcel: two units, the units, a NUL, padding.
const VM: [i32; 3] = [2, 0x006d_0076, 0];
/// The first word of an id of 64 bytes 7, and the others.
const ID: [i32; 17] = {
    let mut words = [0x0707_0707; 17];
    words[0] = 64;
    words
};

fn of(parts: &[&[i32]]) -> Vec<i32> {
    parts.concat()
}

fn booted() -> AtomVmBooted {
    AtomVmBooted {
        uid: 5,
        vmIdentifier: "vm".into(),
        elapsedTimeMillis: 6,
    }
}

fn null() -> rsbinder::ParcelFileDescriptor {
    rsbinder::ParcelFileDescriptor::new(std::fs::File::open("/dev/null").unwrap())
}

/// What is called alike in every form, in the order of [`words_of_all`].
const ALL: [&dyn Fn(&Internal); 17] = [
    &|service| refused(service.atom_vm_booted(&booted())),
    &|service| refused(service.atom_vm_creation_requested(&AtomVmCreationRequested::default())),
    &|service| refused(service.atom_vm_exited(&AtomVmExited::default())),
    &|service| refused(service.debug_list_vms()),
    &|service| refused(service.request_attestation(&[1, 2, 3], 9, true)),
    &|service| refused(service.enable_test_attestation()),
    &|service| refused(service.is_remote_attestation_supported()),
    &|service| refused(service.assignable_devices()),
    &|service| refused(service.bind_devices(&["vm".into()])),
    &|service| refused(service.dtbo_file()),
    &|service| refused(service.allocate_instance_id()),
    &|service| refused(service.remove_vm_instance(&[7; 64])),
    &|service| refused(service.claim_vm_instance(&[7; 64])),
    &|service| refused(service.clear_display_service()),
    &|service| refused(service.wait_display_service()),
    &|service| refused(service.create_tap_interface("vm")),
    &|service| refused(service.delete_tap_interface(&null())),
];

fn words_of_all() -> [Vec<i32>; 17] {
    let empty = [0, 0];
    [
        of(&[&[1, 28, 5], &VM, &[6, 0]]),
        of(&[&[1, 48, 0], &empty, &[0; 6], &empty]),
        of(&[&[1, 56, 0], &empty, &[0; 10]]),
        vec![],
        vec![3, 0x0003_0201, 9, 1],
        vec![],
        vec![],
        vec![],
        of(&[&[1], &VM]),
        vec![],
        vec![],
        ID.to_vec(),
        ID.to_vec(),
        vec![],
        vec![],
        VM.to_vec(),
        vec![1, 0, 2, 0],
    ]
}

fn with_codes(codes: [u32; 17]) -> Calls {
    codes.into_iter().zip(words_of_all()).collect()
}

const OLDER: [u32; 17] = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 19, 20];
const LATE: [u32; 17] = [
    5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 22, 23,
];

#[test]
fn to_a_service_of_android_15() {
    for release in [Release::V15, Release::V15Qpr1, Release::V15Qpr2] {
        let mut calls: Vec<&dyn Fn(&Internal)> = vec![
            &|service| refused(service.remove_memlock_rlimit()),
            &|service| refused(service.allocate("vm", 77)),
            &|service| unsupported(service.claim_secretkeeper_entry(&[7; 64])),
            &|service| unsupported(service.unregister_vm(2048)),
        ];
        calls.extend(ALL);
        let mut expected = vec![(6, vec![]), (1, vec![]), (2, vec![77])];
        expected.extend(with_codes(OLDER));
        assert_eq!(sent(release, &calls), expected);
    }
}

#[test]
fn to_a_service_of_android_16() {
    let mut calls: Vec<&dyn Fn(&Internal)> = vec![
        &|service| refused(service.remove_memlock_rlimit()),
        &|service| refused(service.allocate("vm", 77)),
        &|service| refused(service.claim_secretkeeper_entry(&[7; 64])),
    ];
    calls.extend(ALL);
    let mut expected = vec![
        (6, vec![]),
        (1, vec![]),
        (2, of(&[&VM, &[77]])),
        (21, ID.to_vec()),
    ];
    expected.extend(with_codes(OLDER));
    assert_eq!(sent(Release::V16, &calls), expected);
}

#[test]
fn to_a_service_of_android_16_qpr2_and_17() {
    let event = Atom::FsckFailedReported(FsckFailedReported { exitCode: 3 });
    let vm = ListedVm::new(Default::default());
    let own: [&dyn Fn(&Internal); 5] = [
        &|service| refused(service.allocate("vm", 77)),
        &|service| refused(service.unregister_vm(2048)),
        &|service| refused(service.forward_atom(&event, 5, "vm")),
        &|service| refused(service.claim_secretkeeper_entry(&[7; 64])),
        &|service| refused(service.register_vm(2048, &vm.object())),
    ];
    let calls: Vec<&dyn Fn(&Internal)> = own.into_iter().chain(ALL).collect();
    let mut noted = sent(Release::V16Qpr, &calls);
    let registered = noted.remove(5);
    assert_eq!((registered.0, &registered.1[..2]), (3, &[2048, 1][..]));
    let mut expected = vec![
        (4, vec![0]),
        (2, vec![]),
        (4, vec![2048]),
        (8, of(&[&[1, 1, 1, 8, 3, 5], &VM])),
        (24, ID.to_vec()),
    ];
    expected.extend(with_codes(LATE));
    assert_eq!(noted, expected);
    // From 17 on, what becomes of VMs is an event like those of guests: vmBooted has the tag 5.
    let calls: [&dyn Fn(&Internal); 1] = [&|service| refused(service.atom_vm_booted(&booted()))];
    let noted = sent(Release::V17, &calls);
    let words = of(&[&[1, 5, 1, 12, 6, 0], &[5], &VM]);
    assert_eq!(noted, [(4, vec![0]), (8, words)]);
}

/// A number that depends on nothing but the one before.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Small numbers more often than others: they look like lengths, tags and booleans.
    fn int(&mut self) -> i32 {
        match self.below(4) {
            0 => (self.next() % 4) as i32,
            1 => (self.next() % 70) as i32,
            _ => self.next() as i32,
        }
    }

    fn text(&mut self) -> String {
        let length = self.below(6);
        (0..length)
            .map(|_| char::from(b'a' + (self.next() % 26) as u8))
            .collect()
    }
}

fn write(parcel: &mut Parcel, argument: Argument, random: &mut Random) -> Result<()> {
    match argument {
        Argument::Int => parcel.write(&random.int()),
        Argument::Bool => parcel.write(&(random.below(2) == 0)),
        Argument::Text => parcel.write(&random.text()),
        Argument::Bytes => {
            let bytes: Vec<u8> = (0..random.below(80)).map(|_| random.next() as u8).collect();
            parcel.write(&bytes)
        }
        Argument::Id => {
            let mut id = [0_u8; 64];
            if random.below(2) == 0 {
                id.fill_with(|| random.next() as u8);
            }
            parcel.write(&id)
        }
        Argument::Texts => {
            let texts: Vec<String> = (0..random.below(4)).map(|_| random.text()).collect();
            parcel.write(&texts)
        }
        Argument::File => parcel.write(&null()),
        // As the kernel hands it over.
        Argument::Binder => [0x7368_2a85, 0x13, random.int(), 0, 0, 0, 0x0c]
            .iter()
            .try_for_each(|word: &i32| parcel.write(word)),
        Argument::Booted => parcel.write(&AtomVmBooted {
            uid: random.int(),
            vmIdentifier: random.text(),
            elapsedTimeMillis: random.next() as i64,
        }),
        Argument::CreationRequested => parcel.write(&AtomVmCreationRequested {
            uid: random.int(),
            vmIdentifier: random.text(),
            isProtected: random.below(2) == 0,
            numCpus: random.int(),
            memoryMib: random.int(),
            apexes: random.text(),
            ..Default::default()
        }),
        Argument::Exited => parcel.write(&AtomVmExited {
            uid: random.int(),
            vmIdentifier: random.text(),
            exitSignal: random.int(),
            elapsedTimeMillis: random.next() as i64,
            ..Default::default()
        }),
        Argument::Atom => parcel.write(&if random.below(2) == 0 {
            Atom::FsckFailedReported(FsckFailedReported {
                exitCode: random.int(),
            })
        } else {
            Atom::VmBooted(VmBooted {
                elapsedTimeMillis: random.next() as i64,
            })
        }),
    }
}

#[test]
fn no_call_passes_for_another_method() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut others: BTreeMap<u32, usize> = BTreeMap::new();
    let (mut calls, mut own) = (0, 0);
    for _ in 0..1500 {
        for form in Form::ALL {
            for code in 1.. {
                let Some(method) = form.method(code) else {
                    break;
                };
                let mut parcel = Parcel::new();
                for argument in method.arguments() {
                    write(&mut parcel, *argument, &mut random).unwrap();
                }
                parcel.set_data_position(0);
                calls += 1;
                own += usize::from(fits(&mut parcel, method.arguments()));
                let passes = |other: Option<Method>, parcel: &mut Parcel| {
                    other.is_some_and(|other| other != method && fits(parcel, other.arguments()))
                };
                for other in Form::ALL {
                    if passes(other.method(code), &mut parcel) {
                        *others.entry(code).or_default() += 1;
                    }
                }
            }
        }
    }
    assert_eq!(own, calls, "calls that do not pass for themselves");
    println!("{calls} calls; taken for others, by code: {others:?}");
    // These have no arguments in any form.
    assert_eq!(others.keys().copied().collect::<Vec<_>>(), [9, 12, 13]);
}

#[test]
fn other_bytes_never_harm() {
    let mut random = Random(0x0123_4567_89ab_cdef);
    let mut fitting = 0;
    for _ in 0..20_000 {
        let mut parcel = Parcel::new();
        for _ in 0..random.below(24) {
            parcel.write(&random.int()).unwrap();
        }
        let size = parcel.data_size();
        for form in Form::ALL {
            for code in 1.. {
                let Some(method) = form.method(code) else {
                    break;
                };
                parcel.set_data_position(0);
                fitting += usize::from(fits(&mut parcel, method.arguments()));
                assert_eq!(parcel.data_position(), 0);
            }
        }
        assert_eq!(parcel.data_size(), size);
    }
    // What is nothing but numbers may well be one.
    println!("{fitting} of them were the arguments of a method");
    let unknown = Form::ALL.map(|form| form.method(0).is_none() && form.method(25).is_none());
    assert_eq!(unknown, [true; 3]);
    assert_eq!(Form::Android15.code(Method::ClaimSecretkeeperEntry), None);
}
