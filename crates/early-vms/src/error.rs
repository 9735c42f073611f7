// SPDX-License-Identifier: Apache-2.0
//! Why a client may not create a VM.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::{Fault, Partition};

/// Why there is no list, no VM in it, or why the client may not create it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The root directory cannot be opened.
    #[error("cannot open '{}' as the root directory; give an existing directory", path.display())]
    Root {
        /// The path as given.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },

    /// An executable's path does not start at the root, or has a `..` in it.
    #[error("the executable's path '{}' is not absolute and plain; give it from '/' and without '..'", path.display())]
    NotAbsolute {
        /// The path as given.
        path: PathBuf,
    },
    /// The client is on a partition that may not have early VMs.
    #[error(
        "Early VMs are not supported for {place} (client '{}'); install the client on system, system_ext, product, vendor or odm, or in an APEX of one of these",
        path.display()
    )]
    Unsupported {
        /// The partition, or the first component of the path.
        place: String,
        /// The client's executable, or its APEX.
        path: PathBuf,
    },

    /// The list of APEXes cannot be read.
    #[error("cannot read '{}', which names the partition of APEX '{module}'; start apexd first", path.display())]
    ApexList {
        /// The APEX's name.
        module: String,
        /// The list.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The list of APEXes is not one.
    #[error("{}:{line}: the list of APEXes is broken; have apexd write it again", path.display())]
    ApexListBroken {
        /// The list.
        path: PathBuf,
        /// The line, from 1.
        line: u32,
        /// What is wrong there.
        source: XmlFault,
    },
    /// The list has no active APEX of this name.
    #[error("'{}' has no active APEX '{module}'; run the client from its /apex/NAME directory", path.display())]
    ApexUnknown {
        /// The APEX's name.
        module: String,
        /// The list.
        path: PathBuf,
    },
    /// The APEX's entry has no partition.
    #[error("APEX '{module}' has no attribute 'partition' in '{}'; a newer apexd writes it", path.display())]
    ApexWithoutPartition {
        /// The APEX's name.
        module: String,
        /// The list.
        path: PathBuf,
    },

    /// The partition has no list.
    #[error("partition '{partition}' has no early VMs: there is no early_vms*.xml in '{}'; declare the VM there", directory.display())]
    ListMissing {
        /// The partition.
        partition: Partition,
        /// Where its lists would be.
        directory: PathBuf,
    },
    /// The directory of the lists cannot be read.
    #[error("cannot read the directory '{}' of partition '{partition}' for lists; check its mode and label", directory.display())]
    ListDirectory {
        /// The partition.
        partition: Partition,
        /// Where its lists are.
        directory: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },

    /// No list of the partition declares the VM.
    #[error(
        "VM '{name}' is not declared in partition '{partition}'{}; declare it in /{partition}/etc/avf/early_vms*.xml{}",
        declared_instead(declared),
        hidden_by.as_ref().map(|fault| format!(", or correct {fault}")).unwrap_or_default()
    )]
    VmNotDeclared {
        /// The VM's name.
        name: String,
        /// The partition.
        partition: Partition,
        /// The names that can be found.
        declared: Vec<String>,
        /// The first fault that is not of a certain VM, and so may be of this one.
        hidden_by: Option<Box<Fault>>,
    },
    /// The VM is declared, but not properly.
    #[error("partition '{partition}': {fault}")]
    VmFaulty {
        /// The partition.
        partition: Partition,
        /// What is wrong with its entry.
        fault: Box<Fault>,
    },

    /// The client is not the one that may create this VM.
    #[error("VM '{name}' in partition '{partition}' must be created with '{}', not '{}'", declared.display(), actual.display())]
    WrongExecutable {
        /// The VM's name.
        name: String,
        /// The partition.
        partition: Partition,
        /// The executable that the list declares.
        declared: PathBuf,
        /// The client's executable.
        actual: PathBuf,
    },
    /// The declared executable cannot be examined.
    #[error("cannot examine '{}', which may create VM '{name}'; check its mode and label", path.display())]
    DeclaredUnreadable {
        /// The VM's name.
        name: String,
        /// The executable that the list declares.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another file has replaced the client's executable.
    #[error("VM '{name}': '{}' has been replaced since it was opened for the client; start the client again", path.display())]
    ClientReplaced {
        /// The VM's name.
        name: String,
        /// The client's executable.
        path: PathBuf,
    },
    /// The client's executable has been unlinked, or another file renamed to its path.
    #[error("the client's executable '{}' has been deleted or replaced since the client started; start the client again", path.display())]
    ClientDeleted {
        /// The path that it had.
        path: PathBuf,
    },
    /// The manager finds another file, or none, at the path of the client's executable.
    #[error("the client's executable '{}' is not what the manager finds there; run both in one mount namespace", path.display())]
    ClientHidden {
        /// The path that the kernel gives.
        path: PathBuf,
    },
    /// The client's executable is not in the root directory.
    #[error("the client's executable '{}' is not in the root directory '{}'; run it from there", path.display(), root.display())]
    ClientOutsideRoot {
        /// The client's executable.
        path: PathBuf,
        /// The root directory.
        root: PathBuf,
    },
    /// The client's executable cannot be examined.
    #[error("cannot examine the client's executable '{}'; it must be a regular file, and the manager must be allowed to inspect the client's process", path.display())]
    ClientUnreadable {
        /// The executable, or its link in /proc.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// What is wrong with the text of an XML file.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct XmlFault(pub(crate) String);

/// The names in a message: the first few of them, as a list may be long.
fn declared_instead(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<_> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("'{name}'"))
        .collect();
    match (shown.join(", "), names.len()) {
        (_, 0) => String::new(),
        (shown, 0..=SHOWN) => format!(", which has {shown}"),
        (shown, count) => format!(", which has {shown} and {} more", count - SHOWN),
    }
}
