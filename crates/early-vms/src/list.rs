// SPDX-License-Identifier: Apache-2.0
//! The lists of one partition, and the VMs in them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, OFlags};
use rustix::io::Errno;

use crate::parse::{Parsed, parse};
use crate::root::Root;
use crate::unique::require_unique;
use crate::{ClientExecutable, Error, Fault, Location, MAX_LIST_LEN, MAX_LISTS, Partition};

/// A VM that is declared in a list, without a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlyVm {
    /// The VM's name in its config, unique in the lists of its partition.
    pub name: String,
    /// The VM's static CID, in the partition's range and unique in all lists that share it.
    pub cid: u32,
    /// The absolute path of the client executable that may create the VM.
    pub path: PathBuf,
    /// The partition of the list.
    pub partition: Partition,
    /// Where the entry begins.
    pub location: Location,
}

impl EarlyVm {
    /// Checks that `client` may create this VM: that the path which the VM declares leads to the
    /// client's very file, by device and inode, in the client's root directory.
    ///
    /// # Errors
    ///
    /// [`Error::WrongExecutable`]; [`Error::ClientReplaced`] if the path is right, but the client's
    /// file is no longer there; [`Error::DeclaredUnreadable`].
    pub fn check_executable(&self, client: &ClientExecutable) -> Result<(), Error> {
        client.check(self)
    }
}

/// The VMs that clients of one partition may create.
///
/// An entry with a fault is not among them. Its fault is in [`faults`](Self::faults), and does not
/// affect the others.
#[derive(Debug, Clone)]
pub struct EarlyVms {
    partition: Partition,
    files: usize,
    vms: Vec<EarlyVm>,
    faults: Vec<Fault>,
}

impl EarlyVms {
    /// Reads every `/{partition}/etc/avf/early_vms*.xml` in the directory `root`, in the order of
    /// their names.
    ///
    /// The lists of the partitions that share the CIDs are read too, as no two VMs may have one CID.
    ///
    /// # Errors
    ///
    /// [`Error::Root`], [`Error::ListMissing`] and [`Error::ListDirectory`]. What is wrong inside a
    /// list is not an error here, but one of [`faults`](Self::faults).
    pub fn load(root: &Path, partition: Partition) -> Result<Self, Error> {
        let root = Root::open(root)?;
        let lists = read_partition(&root, partition)?;
        if lists.files == 0 {
            let directory = root.on_host(&directory(partition));
            return Err(Error::ListMissing {
                partition,
                directory,
            });
        }
        let mut all = lists.parsed;
        for other in partition.sharing_cids().filter(|other| *other != partition) {
            match read_partition(&root, other) {
                Ok(lists) => {
                    all.vms.extend(lists.parsed.vms);
                    all.faults.extend(lists.parsed.faults);
                }
                Err(error) => all.faults.push(unreadable(&root, other, &error)),
            }
        }
        require_unique(&mut all);
        all.vms.retain(|vm| vm.partition == partition);
        // Its own faults first; otherwise the order stays.
        all.faults.sort_by_key(|fault| fault.partition != partition);
        Ok(Self {
            partition,
            files: lists.files,
            vms: all.vms,
            faults: all.faults,
        })
    }

    /// Reads one list that is in memory. `file` is what its faults call it.
    #[must_use]
    pub fn parse(bytes: &[u8], file: &Path, partition: Partition) -> Self {
        let mut parsed = parse(bytes, file, partition);
        require_unique(&mut parsed);
        Self {
            partition,
            files: 1,
            vms: parsed.vms,
            faults: parsed.faults,
        }
    }

    /// The partition whose lists these are.
    #[must_use]
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// How many lists the partition has.
    #[must_use]
    pub fn files(&self) -> usize {
        self.files
    }

    /// The VMs without a fault, in the order of the lists.
    #[must_use]
    pub fn vms(&self) -> &[EarlyVm] {
        &self.vms
    }

    /// The faults of all lists that were read: first of the partition's own, then of those that
    /// share its CIDs.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Finds the VM with this name.
    ///
    /// # Errors
    ///
    /// [`Error::VmFaulty`] if an entry with this name has a fault, [`Error::VmNotDeclared`] if there
    /// is none; the latter names the fault that may hide it.
    pub fn find(&self, name: &str) -> Result<&EarlyVm, Error> {
        let own = |fault: &&Fault| fault.partition == self.partition;
        let faulty = |fault: &&Fault| own(fault) && fault.vm.as_deref() == Some(name);
        if let Some(fault) = self.faults.iter().find(faulty) {
            return Err(Error::VmFaulty {
                partition: self.partition,
                fault: Box::new(fault.clone()),
            });
        }
        let found = self.vms.iter().find(|vm| vm.name == name);
        found.ok_or_else(|| Error::VmNotDeclared {
            name: name.to_owned(),
            partition: self.partition,
            declared: self.vms.iter().map(|vm| vm.name.clone()).collect(),
            hidden_by: self
                .faults
                .iter()
                .find(|fault| own(fault) && fault.vm.is_none())
                .map(|fault| Box::new(fault.clone())),
        })
    }
}

/// What the lists of one partition hold.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// How many files there are; it is not a fault if there are none.
    pub(crate) files: usize,
    pub(crate) parsed: Parsed,
}

/// Where the lists of a partition are, in the root directory.
fn directory(partition: Partition) -> PathBuf {
    Path::new("/").join(partition.name()).join("etc/avf")
}

/// Reads the lists of one partition.
pub(crate) fn read_partition(root: &Root, partition: Partition) -> Result<Lists, Error> {
    let directory = directory(partition);
    let names = match list_names(root, &directory) {
        Ok(names) => names,
        Err(Errno::NOENT | Errno::NOTDIR) => Vec::new(),
        Err(errno) => {
            return Err(Error::ListDirectory {
                partition,
                directory: root.on_host(&directory),
                source: errno.into(),
            });
        }
    };

    let mut parsed = Parsed::default();
    for (index, name) in names.iter().enumerate() {
        let path = directory.join(name);
        let file = root.on_host(&path);
        if index == MAX_LISTS {
            let message =
                format!("not read, as are all after it; merge the lists into at most {MAX_LISTS}");
            parsed.faults.push(Fault::of_file(file, partition, message));
            break;
        }
        match root.read(&path, MAX_LIST_LEN) {
            Ok(bytes) => {
                let list = parse(&bytes, &file, partition);
                parsed.vms.extend(list.vms);
                parsed.faults.extend(list.faults);
            }
            Err(error) => {
                let message = format!("the list cannot be read: {error}");
                parsed.faults.push(Fault::of_file(file, partition, message));
            }
        }
    }
    Ok(Lists {
        files: names.len(),
        parsed,
    })
}

fn list_names(root: &Root, directory: &Path) -> Result<Vec<OsString>, Errno> {
    let directory = Dir::new(root.open_in(directory, OFlags::RDONLY | OFlags::DIRECTORY)?)?;
    let mut names = Vec::new();
    for entry in directory {
        let name = entry?.file_name().to_bytes().to_vec();
        if is_list_name(OsStr::from_bytes(&name)) {
            names.push(OsString::from_vec(name));
        }
    }
    names.sort();
    Ok(names)
}

/// Whether a file's name matches `early_vms*.xml`.
fn is_list_name(name: &OsStr) -> bool {
    name.as_bytes()
        .strip_prefix(b"early_vms")
        .is_some_and(|rest| rest.ends_with(b".xml"))
}

/// Makes a fault of a directory that cannot be read.
pub(crate) fn unreadable(root: &Root, partition: Partition, error: &Error) -> Fault {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    let message = format!("{error}{}", cause.unwrap_or_default());
    Fault::of_file(root.on_host(&directory(partition)), partition, message)
}
