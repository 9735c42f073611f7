// SPDX-License-Identifier: Apache-2.0
//! VMs of a client that speaks in bytes: a config with every field set, and the guest that it boots.

use crate::guest;
use crate::host::{Host, VM};
use crate::raw_client::{Answer, Calls, Failure, ON_PAYLOAD_READY, Part, RawClient};
use rsbinder::{ParcelFileDescriptor, SIBinder, Strong};
use std::fs::{self, File, OpenOptions};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vm_demo::IDemoService;
use wire_bytes::guest::{Guest, raw_config};
use wire_bytes::writer::Insertion;
use wire_bytes::{Layout, Message, Value, Writer};

/// `VirtualMachineState.NOT_STARTED`.
pub const NOT_STARTED: i32 = 0;
/// `VirtualMachineState.READY`.
pub const READY: i32 = 3;
/// `VirtualMachineState.DEAD`.
pub const DEAD: i32 = 6;

/// The descriptors of a VM, by the numbers that its messages have for them.
#[derive(Debug)]
pub struct Files {
    /// All of them.
    pub list: Vec<ParcelFileDescriptor>,
    params: String,
    console: PathBuf,
    log: PathBuf,
}

const KERNEL: usize = 0;
const INITRD: usize = 1;
const READ_ONLY: usize = 2;
const WRITABLE: usize = 3;
const DISK: usize = 4;
const CONSOLE: usize = 5;
const INPUT: usize = 6;
const LOG: usize = 7;

/// What the partition that is not written begins with.
pub const READ_ONLY_TEXT: &str = "the first partition";

impl Files {
    /// The files of a guest whose payload has the arguments `args`. `name` is that of its images.
    ///
    /// # Panics
    /// If they cannot be made.
    #[must_use]
    pub fn new(host: &Host, name: &str, args: &[&str]) -> Self {
        let scratch = host.scratch();
        let image = |kind: &str, text: &str, size: usize| {
            let path = scratch.join(format!("{name}-{kind}"));
            let mut content = text.as_bytes().to_vec();
            content.resize(size, 0);
            fs::write(&path, content).unwrap();
            path
        };
        let read_only = image("reads", READ_ONLY_TEXT, 8192);
        let writable = image("writes", "", 8192);
        let disk = image("disk", "", 1 << 20);
        let console = image("console", "", 0);
        let log = image("log", "", 0);
        let config = guest::config(host, args);
        let kernel = host.dist.path("guest/kernel");
        let initrd = host.dist.path("guest/initrd.img");
        Self {
            list: vec![
                reads(&kernel),
                reads(&initrd),
                reads(&read_only),
                writes(&writable),
                writes(&disk),
                writes(&console),
                reads(Path::new("/dev/null")),
                writes(&log),
            ],
            params: config.params.unwrap(),
            console,
            log,
        }
    }

    /// createVm's config in `layout`, with every field set.
    #[must_use]
    pub fn config(&self, layout: Layout) -> Value {
        let guest = Guest {
            name: VM,
            kernel: KERNEL,
            initrd: INITRD,
            params: &self.params,
            read_only_partition: READ_ONLY,
            writable_partition: WRITABLE,
            disk: DISK,
        };
        raw_config(layout, &guest)
    }

    /// createVm's arguments in `layout`, with every field set.
    #[must_use]
    pub fn message(&self, layout: Layout) -> Message {
        Writer::default().create_vm(layout, &self.config(layout), &streams(layout))
    }

    /// The same, with so many partitions in the first disk and without the second one.
    ///
    /// # Panics
    /// If the tables of the layout are not as they were.
    #[must_use]
    pub fn message_of_partitions(&self, layout: Layout, count: usize) -> Message {
        let mut config = self.config(layout);
        let fields = layout.raw_config().fields;
        let place = fields.iter().position(|field| field.name == "disks");
        let disks = &mut fields_of(&mut config)[place.unwrap()];
        let disks = elements_of(disks);
        disks.truncate(1);
        let partitions = elements_of(&mut fields_of(&mut disks[0])[PARTITIONS]);
        let partition = partitions[0].clone();
        *partitions = (0..count)
            .map(|number| {
                let mut partition = partition.clone();
                let fields = fields_of(&mut partition);
                fields[LABEL] = Value::Text(format!("p{number}"));
                // A GUID is of one partition only.
                fields
                    .iter_mut()
                    .skip(GUID)
                    .for_each(|guid| *guid = Value::Null);
                partition
            })
            .collect();
        Writer::default().create_vm(layout, &config, &streams(layout))
    }

    /// The same, with a field that no release has.
    #[must_use]
    pub fn message_with(&self, layout: Layout, insertion: Insertion<'_>) -> Message {
        let writer = Writer::default().with(insertion);
        writer.create_vm(layout, &self.config(layout), &streams(layout))
    }

    /// Calls createVm.
    ///
    /// # Errors
    /// What the manager answers.
    pub fn create(&self, client: &RawClient) -> Result<SIBinder, Failure> {
        self.send(client, &self.message(client.layout))
            .map(Answer::object)
    }

    /// Calls createVm with the config's field at `place` set to `value`.
    ///
    /// # Errors
    /// What the manager answers.
    ///
    /// # Panics
    /// If the layout has no such field, or it has another type.
    pub fn create_with(
        &self,
        client: &RawClient,
        place: usize,
        value: Value,
    ) -> Result<SIBinder, Failure> {
        let layout = client.layout;
        let mut config = self.config(layout);
        fields_of(&mut config)[place] = value;
        let message = Writer::default().create_vm(layout, &config, &streams(layout));
        self.send(client, &message).map(Answer::object)
    }

    /// Calls createVm with arguments that may be of any form.
    ///
    /// # Errors
    /// What the manager answers.
    pub fn send(&self, client: &RawClient, message: &Message) -> Result<Answer, Failure> {
        client.service("createVm", &[Part::Message(message, &self.list)])
    }

    /// What the guest wrote to its console.
    ///
    /// # Panics
    /// If it cannot be read.
    #[must_use]
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.console).unwrap()).into_owned()
    }

    /// What the guest wrote to its log.
    ///
    /// # Panics
    /// If it cannot be read.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }
}

/// Places of fields that are the same in every form.
const PARTITIONS: usize = 2;
const LABEL: usize = 0;
const GUID: usize = 3;

fn fields_of(value: &mut Value) -> &mut Vec<Value> {
    match value {
        Value::Union(_, value) => fields_of(value),
        Value::Parcelable(fields) => fields,
        other => panic!("{other:?} has no fields"),
    }
}

fn elements_of(value: &mut Value) -> &mut Vec<Value> {
    match value {
        Value::Array(elements) => elements,
        other => panic!("{other:?} has no elements"),
    }
}

/// The descriptors after the config. Not every VMM can write a device tree.
fn streams(layout: Layout) -> Vec<Value> {
    let mut streams = [CONSOLE, INPUT, LOG].map(Value::Descriptor).to_vec();
    streams.resize(layout.files(), Value::Null);
    streams
}

fn reads(path: &Path) -> ParcelFileDescriptor {
    ParcelFileDescriptor::new(File::open(path).unwrap())
}

fn writes(path: &Path) -> ParcelFileDescriptor {
    let file = OpenOptions::new().read(true).write(true).open(path);
    ParcelFileDescriptor::new(file.unwrap())
}

/// A VM whose payload is ready.
#[derive(Debug)]
pub struct ReadyVm {
    /// `IVirtualMachine`.
    pub vm: SIBinder,
    /// What its callback received.
    pub calls: Arc<Calls>,
    /// Its CID.
    pub cid: i32,
}

impl ReadyVm {
    /// Registers a callback of the VM, starts it and waits until its payload is ready.
    ///
    /// # Panics
    /// If it does not become ready.
    #[must_use]
    pub fn start(client: &RawClient, vm: SIBinder) -> Self {
        let calls = client.register(&vm);
        let cid = client.machine(&vm, "getCid", &[]).unwrap().int();
        client
            .machine(&vm, "start", &[])
            .unwrap_or_else(|e| panic!("start: {e:?}\n{}", client.log()))
            .void();
        assert_eq!(calls.wait(ON_PAYLOAD_READY, client), [cid]);
        Self { vm, calls, cid }
    }

    /// A connection to a port of the guest.
    ///
    /// # Errors
    /// What the manager answers.
    pub fn connect(&self, client: &RawClient, port: u32) -> Result<OwnedFd, Failure> {
        let port = port.cast_signed();
        let answer = client.machine(&self.vm, "connectVsock", &[Part::Words(&[port])]);
        answer.map(|answer| answer.file().into())
    }

    /// The payload's service, over a connection to its port.
    ///
    /// # Panics
    /// If it cannot be reached.
    #[must_use]
    pub fn service(&self, client: &RawClient) -> Strong<dyn IDemoService> {
        let session = avf_rpc::payload::connect_payload(|| {
            self.connect(client, vm_demo::PORT)
                .map_err(|failure| avf_rpc::Error::Io {
                    what: "connectVsock".into(),
                    source: std::io::Error::other(failure.text()),
                })
        });
        let root = session.unwrap().get_root().unwrap();
        root.into_interface().unwrap()
    }
}
