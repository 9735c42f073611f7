// SPDX-License-Identifier: Apache-2.0
//! No name twice in a partition, no CID twice in a range.

use std::collections::{BTreeMap, BTreeSet};

use crate::parse::Parsed;
use crate::{EarlyVm, Fault};

/// Makes faults of the VMs whose name another VM of the partition has, or whose CID any other has,
/// and sorts all faults by partition, file and line.
///
/// Neither of two such VMs counts as the right one: which comes first depends on the names of files.
pub(crate) fn require_unique(parsed: &mut Parsed) {
    let mut by_name: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    let mut by_cid: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (index, vm) in parsed.vms.iter().enumerate() {
        let name = (vm.partition, vm.name.as_str());
        by_name.entry(name).or_default().push(index);
        by_cid.entry(vm.cid).or_default().push(index);
    }

    let mut bad = BTreeSet::new();
    let mut faults = Vec::new();
    for indices in by_name.values() {
        for clash in clashes(&parsed.vms, indices) {
            let message = format!(
                "VM '{}' is declared twice, here and at {}{}; remove or rename one",
                clash.vm.name, clash.other.location, clash.more
            );
            bad.insert(clash.index);
            faults.push(fault(clash.vm, message));
        }
    }
    for indices in by_cid.values() {
        for clash in clashes(&parsed.vms, indices) {
            let cids = clash.vm.partition.cids();
            let message = format!(
                "VM '{}' has the CID {} of VM '{}' at {}{}; give one of them another of {}..={}",
                clash.vm.name,
                clash.vm.cid,
                clash.other.name,
                clash.other.location,
                clash.more,
                cids.start(),
                cids.end()
            );
            bad.insert(clash.index);
            faults.push(fault(clash.vm, message));
        }
    }

    let mut index = 0..;
    parsed
        .vms
        .retain(|_| index.next().is_some_and(|index| !bad.contains(&index)));
    parsed.faults.extend(faults);
    parsed.faults.sort_by(Fault::order);
}

/// A VM with the same name or CID as another.
struct Clash<'a> {
    index: usize,
    vm: &'a EarlyVm,
    other: &'a EarlyVm,
    /// How many more there are, in parentheses; empty for none.
    more: String,
}

fn clashes<'a>(vms: &'a [EarlyVm], indices: &'a [usize]) -> impl Iterator<Item = Clash<'a>> {
    indices.iter().enumerate().filter_map(move |(nth, index)| {
        // The first clashes with the second, all others with the first.
        let other = indices.get(usize::from(nth == 0))?;
        let more = match indices.len() - 2 {
            0 => String::new(),
            count => format!(" (and {count} more)"),
        };
        Some(Clash {
            index: *index,
            vm: vms.get(*index)?,
            other: vms.get(*other)?,
            more,
        })
    })
}

fn fault(vm: &EarlyVm, message: String) -> Fault {
    Fault::new(vm.location.clone(), vm.partition, message).of_vm(&vm.name)
}
