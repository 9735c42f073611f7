// SPDX-License-Identifier: Apache-2.0
//! All lists at once, as a build checks them.

use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::executable::names_of;
use crate::list::{read_partition, unreadable};
use crate::parse::Parsed;
use crate::root::{Root, is_regular};
use crate::unique::require_unique;
use crate::{EarlyVm, Error, Fault, Partition};

/// The result of checking all lists, in the order of partitions, files and lines.
#[derive(Debug, Default)]
pub struct Report {
    /// How many lists there are.
    pub files: usize,
    /// The VMs without a fault; some may have warnings.
    pub vms: Vec<EarlyVm>,
    /// Errors, which make a VM unusable, and warnings about likely mistakes, such as a missing
    /// executable.
    pub faults: Vec<Fault>,
}

impl Report {
    /// Whether there is nothing but warnings.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.faults.iter().all(|fault| fault.warning)
    }
}

/// Checks the lists of every partition in the directory `root`, together, for CIDs that two use.
///
/// It is not a fault if a partition has no lists.
#[must_use]
pub fn check_all(root: &Path) -> Report {
    let mut report = Report::default();
    let mut all = Parsed::default();
    let root = match Root::open(root) {
        Ok(root) => root,
        Err(error) => {
            let fault = Fault::of_file(root.to_owned(), Partition::System, error.to_string());
            report.faults.push(fault);
            return report;
        }
    };
    for partition in Partition::ALL {
        match read_partition(&root, partition) {
            Ok(lists) => {
                report.files += lists.files;
                all.vms.extend(lists.parsed.vms);
                all.faults.extend(lists.parsed.faults);
            }
            Err(error) => all.faults.push(unreadable(&root, partition, &error)),
        }
    }
    // Partitions that do not share CIDs cannot clash, so one check of all is enough.
    require_unique(&mut all);
    report.vms = all.vms;
    report.faults = all.faults;
    for vm in &report.vms {
        report.faults.extend(warnings(vm, &root));
    }
    report.faults.sort_by(Fault::order);
    report
}

fn warnings(vm: &EarlyVm, root: &Root) -> impl Iterator<Item = Fault> {
    let path = xml_list::printable(&vm.path.to_string_lossy());
    let executable = match find_executable(vm, root) {
        Ok(true) => None,
        Ok(false) => Some(format!(
            "'{path}' is not a regular file, so no client can run it"
        )),
        Err(Errno::NOENT | Errno::NOTDIR) => Some(format!("'{path}' does not exist; install it")),
        Err(errno) => Some(format!("'{path}' cannot be examined: {errno}")),
    };
    let partition = match Partition::of(&vm.path, root) {
        Ok(partition) if partition == vm.partition => None,
        Ok(other) => Some(format!(
            "a client at '{path}' uses the lists of {other}; declare the VM there"
        )),
        // A tree of images has no list of APEXes yet.
        Err(Error::ApexList { .. }) => None,
        Err(error) => Some(error.to_string()),
    };
    let warning = |message: String| {
        let message = format!("VM '{}': {message}", xml_list::printable(&vm.name));
        let mut fault = Fault::new(vm.location.clone(), vm.partition, message).of_vm(&vm.name);
        fault.warning = true;
        fault
    };
    [executable, partition].into_iter().flatten().map(warning)
}

/// Whether the declared executable is a regular file, under any of its names.
fn find_executable(vm: &EarlyVm, root: &Root) -> Result<bool, Errno> {
    let mut missing = Errno::NOENT;
    for name in names_of(&vm.path) {
        match root.open_in(&name, OFlags::PATH) {
            Ok(file) => return is_regular(file),
            Err(errno @ (Errno::NOENT | Errno::NOTDIR)) => missing = errno,
            Err(errno) => return Err(errno),
        }
    }
    Err(missing)
}
