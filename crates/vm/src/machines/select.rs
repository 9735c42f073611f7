// SPDX-License-Identifier: Apache-2.0
//! Which VM is meant.

use super::Machine;
use anyhow::{Result, anyhow, bail};
use host::printable;

/// The VM whose CID or name is `wanted`. A CID goes before a name that looks like one.
///
/// # Errors
/// If there is none or more than one, with a list of them.
pub(crate) fn select<'a>(machines: &'a [Machine], wanted: &str) -> Result<&'a Machine> {
    let by_cid = wanted
        .parse()
        .ok()
        .and_then(|cid: u32| machines.iter().find(|machine| machine.cid == cid));
    if let Some(machine) = by_cid {
        return Ok(machine);
    }
    let named: Vec<&Machine> = machines
        .iter()
        .filter(|machine| machine.name() == Some(wanted))
        .collect();
    match &named[..] {
        [machine] => Ok(machine),
        [] => Err(anyhow!(
            "no VM \"{}\"; {}",
            printable(wanted),
            candidates(machines)
        )),
        several => {
            let cids: Vec<String> = several.iter().map(|m| m.cid.to_string()).collect();
            Err(anyhow!(
                "{} VMs are called \"{}\": say which by its CID, {}",
                several.len(),
                printable(wanted),
                cids.join(" or ")
            ))
        }
    }
}

/// The only VM that has a console.
///
/// # Errors
/// If there is none or more than one, with a list of them.
pub(crate) fn only_one_with_console(machines: &[Machine]) -> Result<&Machine> {
    let with: Vec<&Machine> = machines
        .iter()
        .filter(|machine| machine.console.is_some() && machine.check_access().is_ok())
        .collect();
    match &with[..] {
        [machine] => Ok(machine),
        [] if machines.is_empty() => bail!("no VM runs"),
        [] => bail!("no VM has a console; {}", candidates(machines)),
        several => {
            let titles: Vec<String> = several.iter().map(|m| m.title()).collect();
            bail!("say which VM: {}", titles.join(", "))
        }
    }
}

/// The VMs that could have been meant.
fn candidates(machines: &[Machine]) -> String {
    /// More are not read anyway.
    const LIMIT: usize = 8;
    if machines.is_empty() {
        return "no VM runs".to_owned();
    }
    let mut titles: Vec<String> = machines
        .iter()
        .take(LIMIT)
        .map(|machine| printable(&machine.title()).into_owned())
        .collect();
    if machines.len() > LIMIT {
        titles.push(format!("and {} more (vm list)", machines.len() - LIMIT));
    }
    format!("there are: {}", titles.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::tests::machine;
    use super::*;

    #[test]
    fn a_vm_is_found_by_cid_or_name() {
        let machines = [
            machine(2048, "demo"),
            machine(2049, "twin"),
            machine(2050, "twin"),
            machine(2051, "2048"),
        ];
        let cid = |wanted: &str| select(&machines, wanted).map(|m| m.cid);
        assert_eq!(cid("demo").unwrap(), 2048);
        assert_eq!(cid("2048").unwrap(), 2048);
        assert_eq!(cid("2050").unwrap(), 2050);
        let error = cid("twin").unwrap_err().to_string();
        assert!(error.contains("2049 or 2050"), "{error}");
        let error = cid("dem").unwrap_err().to_string();
        assert!(
            error.contains("no VM \"dem\"") && error.contains("demo (CID 2048)"),
            "{error}"
        );
        let error = select(&[], "x").unwrap_err().to_string();
        assert!(error.contains("no VM runs"), "{error}");
    }

    #[test]
    fn the_only_console_is_taken() {
        let mut machines = [machine(1, "a"), machine(2, "b"), machine(3, "c")];
        assert!(only_one_with_console(&machines).is_err());
        machines[1].console = Some("/dev/pts/1".into());
        assert_eq!(only_one_with_console(&machines).unwrap().cid, 2);
        machines[2].console = Some("/dev/pts/2".into());
        let error = only_one_with_console(&machines).unwrap_err().to_string();
        assert_eq!(error, "say which VM: b (CID 2), c (CID 3)");
    }
}
