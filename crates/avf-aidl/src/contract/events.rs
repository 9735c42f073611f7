// SPDX-License-Identifier: Apache-2.0
//! Events for the host's statistics.

use super::{Item::*, assert_words};

#[test]
fn events_of_r16() {
    use crate::r16::common::{Atom, atom::*};
    let atom = Atom::CgroupMemoryBreachReported(CgroupMemoryBreachReported {
        highBreachCount: 1,
        highMemoryPeakMb: 2,
    });
    assert_words(
        &atom,
        &Union(0, Box::new(Parcelable(vec![Long(1), Long(2)]))),
    );
    let atom = Atom::FsckFailedReported(FsckFailedReported { exitCode: 3 });
    assert_words(&atom, &Union(1, Box::new(Parcelable(vec![Int(3)]))));
    let atom = Atom::GetOrCreateSkSecretFailedReported(GetOrCreateSkSecretFailedReported {
        retryCount: 4,
    });
    assert_words(&atom, &Union(2, Box::new(Parcelable(vec![Int(4)]))));
    let atom = Atom::PsiMonitorFailedReported(PsiMonitorFailedReported {
        exponentialBackoffSeconds: 5,
    });
    assert_words(&atom, &Union(3, Box::new(Parcelable(vec![Long(5)]))));
}

#[test]
fn events_of_r17() {
    use crate::r17::common::DeathReason;
    use crate::r17::common::{Atom, atom::*};
    let atom = Atom::CgroupMemoryBreachReported(CgroupMemoryBreachReported {
        highBreachCount: 1,
        highMemoryPeakMb: 2,
    });
    assert_words(
        &atom,
        &Union(0, Box::new(Parcelable(vec![Long(1), Long(2)]))),
    );
    let atom = Atom::FsckFailedReported(FsckFailedReported { exitCode: 3 });
    assert_words(&atom, &Union(1, Box::new(Parcelable(vec![Int(3)]))));
    let atom = Atom::GetOrCreateSkSecretFailedReported(GetOrCreateSkSecretFailedReported {
        retryCount: 4,
    });
    assert_words(&atom, &Union(2, Box::new(Parcelable(vec![Int(4)]))));
    let atom = Atom::PsiMonitorFailedReported(PsiMonitorFailedReported {
        exponentialBackoffSeconds: 5,
    });
    assert_words(&atom, &Union(3, Box::new(Parcelable(vec![Long(5)]))));
    let atom = Atom::StaleEncryptedstoreDetected(StaleEncryptedstoreDetected {});
    assert_words(&atom, &Union(4, Box::new(Parcelable(vec![]))));
    let atom = Atom::VmBooted(VmBooted {
        elapsedTimeMillis: 6,
    });
    assert_words(&atom, &Union(5, Box::new(Parcelable(vec![Long(6)]))));
    let atom = Atom::VmCreationRequested(VmCreationRequested {
        isProtected: true,
        creationSucceeded: false,
        binderExceptionCode: -3,
        configType: 2,
        numCpus: 4,
        memoryMib: 256,
        apexes: "a".to_owned(),
    });
    assert_words(
        &atom,
        &Union(
            6,
            Box::new(Parcelable(vec![
                Int(1),
                Int(0),
                Int(-3),
                Int(2),
                Int(4),
                Int(256),
                Text("a"),
            ])),
        ),
    );
    let atom = Atom::VmExited(VmExited {
        deathReason: DeathReason::CRASH,
        exitSignal: 9,
        elapsedTimeMillis: 1,
        guestTimeMillis: 2,
        rssKb: 3,
    });
    assert_words(
        &atom,
        &Union(
            7,
            Box::new(Parcelable(vec![Int(6), Int(9), Long(1), Long(2), Long(3)])),
        ),
    );
}

#[test]
fn events_of_r17_1() {
    use crate::r17_1::common::DeathReason;
    use crate::r17_1::common::{Atom, atom::*};
    let atom = Atom::CgroupMemoryBreachReported(CgroupMemoryBreachReported {
        highBreachCount: 1,
        highMemoryPeakMb: 2,
    });
    assert_words(
        &atom,
        &Union(0, Box::new(Parcelable(vec![Long(1), Long(2)]))),
    );
    let atom = Atom::FsckFailedReported(FsckFailedReported { exitCode: 3 });
    assert_words(&atom, &Union(1, Box::new(Parcelable(vec![Int(3)]))));
    let atom = Atom::GetOrCreateSkSecretFailedReported(GetOrCreateSkSecretFailedReported {
        retryCount: 4,
    });
    assert_words(&atom, &Union(2, Box::new(Parcelable(vec![Int(4)]))));
    let atom = Atom::PsiMonitorFailedReported(PsiMonitorFailedReported {
        exponentialBackoffSeconds: 5,
    });
    assert_words(&atom, &Union(3, Box::new(Parcelable(vec![Long(5)]))));
    let atom = Atom::StaleEncryptedstoreDetected(StaleEncryptedstoreDetected {});
    assert_words(&atom, &Union(4, Box::new(Parcelable(vec![]))));
    let atom = Atom::VmBooted(VmBooted {
        elapsedTimeMillis: 6,
    });
    assert_words(&atom, &Union(5, Box::new(Parcelable(vec![Long(6)]))));
    let atom = Atom::VmCreationRequested(VmCreationRequested {
        isProtected: true,
        creationSucceeded: false,
        binderExceptionCode: -3,
        configType: 2,
        numCpus: 4,
        memoryMib: 256,
        apexes: "a".to_owned(),
    });
    assert_words(
        &atom,
        &Union(
            6,
            Box::new(Parcelable(vec![
                Int(1),
                Int(0),
                Int(-3),
                Int(2),
                Int(4),
                Int(256),
                Text("a"),
            ])),
        ),
    );
    let atom = Atom::VmExited(VmExited {
        deathReason: DeathReason::CRASH,
        exitSignal: 9,
        elapsedTimeMillis: 1,
        guestTimeMillis: 2,
        rssKb: 3,
    });
    assert_words(
        &atom,
        &Union(
            7,
            Box::new(Parcelable(vec![Int(6), Int(9), Long(1), Long(2), Long(3)])),
        ),
    );
}
