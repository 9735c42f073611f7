// SPDX-License-Identifier: Apache-2.0
//! Calls put together by hand, and what they are taken for.

use crate::interfaces::{GUEST, GuestMethod, MACHINE, MachineMethod, SERVICE, ServiceMethod};
use crate::recognise::{Default, Refusal, Wire};
use crate::release::Release;
use rsbinder::ExceptionCode;

/// A descriptor with this number.
fn file(number: u32) -> [u32; 4] {
    [1, 0, 2, number]
}

fn wire(release: Release, is_told: bool) -> Wire {
    Wire::new(Default { release, is_told })
}

fn service(wire: &Wire, code: u32, words: &[u32]) -> Result<ServiceMethod, String> {
    method(
        wire.resolve(&SERVICE, code, words)
            .map(|call| call.method.method),
    )
}

fn machine(wire: &Wire, code: u32, words: &[u32]) -> Result<MachineMethod, String> {
    method(
        wire.resolve(&MACHINE, code, words)
            .map(|call| call.method.method),
    )
}

fn method<M>(resolved: Result<M, Refusal>) -> Result<M, String> {
    resolved.map_err(|refusal| match refusal {
        Refusal::Unknown => "unknown".to_owned(),
        Refusal::Status(status) => format!("{:?} {status}", status.exception_code()),
    })
}

#[test]
fn a_body_tells_what_a_code_does_not() {
    let wire = wire(Release::NEWEST, false);
    let two = [file(0), file(1)].concat();
    // In Android 16 code 4 has a size.
    assert_eq!(
        service(&wire, 4, &two),
        Ok(ServiceMethod::CreateOrUpdateIdsigFile)
    );
    assert_eq!(wire.release(), Release::V15Qpr2);
    assert_eq!(service(&wire, 5, &[]), Ok(ServiceMethod::DebugListVms));
    let error = service(&wire, 5, &two).unwrap_err();
    assert!(error.starts_with("BadParcelable"), "{error}");
    assert!(error.contains("has spoken Android 15"), "{error}");
    // That changed nothing.
    assert_eq!(service(&wire, 9, &[]), service(&wire, 9, &[]));
    assert_eq!(wire.release(), Release::V15Qpr2);
}

#[test]
fn nothing_is_changed_by_a_guess() {
    // Code 9 is enableTestAttestation in Android 15, 11 is it from 16 on.
    let guess = wire(Release::V15, false);
    let error = service(&guess, 9, &[]).unwrap_err();
    assert!(error.starts_with("IllegalState"), "{error}");
    assert!(error.contains("VIRTMGR_WIRE"), "{error}");
    assert_eq!(
        service(&guess, 11, &[]),
        Ok(ServiceMethod::IsUpdatableVmSupported)
    );
    let guess = wire(Release::V17, false);
    assert_eq!(service(&guess, 9, &[]), Ok(ServiceMethod::GetDebugPolicy));
    assert!(service(&guess, 11, &[]).is_err());
    let told = wire(Release::V17, true);
    assert_eq!(
        service(&told, 11, &[]),
        Ok(ServiceMethod::EnableTestAttestation)
    );
}

#[test]
fn a_vm_s_calls_tell_two_releases_of_15_apart() {
    let wire = wire(Release::V15Qpr1, true);
    // Only Android 15 has a level there.
    assert_eq!(machine(&wire, 6, &[1]), Ok(MachineMethod::OnTrimMemory));
    assert_eq!(wire.release(), Release::V15);
    assert_eq!(machine(&wire, 7, &[1234]), Ok(MachineMethod::ConnectVsock));
    let error = machine(&wire, 12, &[]).unwrap_err();
    assert!(
        error.contains("this peer has spoken Android 15 before"),
        "{error}"
    );
    let error = machine(&wire, 7, &[0, 0]).unwrap_err();
    assert!(error.contains("Android 15 QPR1"), "{error}");
}

#[test]
fn surplus_and_missing_bytes_are_refused() {
    let wire = wire(Release::V16, true);
    for (code, words, part) in [
        (
            10,
            &[1][..],
            "isFeatureEnabled: an argument (byte 0: 1) has a length that does not fit",
        ),
        (
            10,
            &[1, 0x41, 7],
            "the arguments (byte 8) go on where they should end",
        ),
        (10, &[0x7fff_ffff, 0], "has a length that does not fit"),
        (10, &[u32::MAX], "is null"),
        (10, &[3, 0x41, 0x41, 0], "has a NUL inside"),
        (10, &[1, 0xd800], "is not UTF-16"),
        (14, &[63, 0], "does not have 64 bytes"),
        (
            4,
            &[1, 0, 2, 1, 0, 0],
            "is not the descriptor whose turn it is",
        ),
        (4, &[1, 0, 3, 0, 0, 0], "is not a file descriptor"),
    ] {
        let error = service(&wire, code, words).unwrap_err();
        assert!(error.starts_with("BadParcelable"), "{error}");
        assert!(error.contains(part), "{words:?}: {error}");
    }
    let error = service(&wire, 16, &[9]).unwrap_err();
    let part = "of a release that is built in: Android 17, startOrStopAdbd: an argument (byte 4) is \
                missing; Android 17 (API 37.1), startOrStopAdbd: an argument (byte 4) is missing";
    assert!(error.contains(part), "{error}");
    assert_eq!(service(&wire, 40, &[]).unwrap_err(), "unknown");
}

#[test]
fn a_guest_has_the_codes_of_its_own_release() {
    let call = |wire: &Wire, code, words: &[u32]| {
        method(
            wire.resolve(&GUEST, code, words)
                .map(|call| call.method.method),
        )
    };
    // What a guest of Android 17 calls first is none of an older one's.
    let newer = Wire::of_guest(Release::V16);
    assert_eq!(call(&newer, 3, &[]), Ok(GuestMethod::NotifyPayloadStarted));
    assert_eq!(call(&newer, 8, &[]), Ok(GuestMethod::GetSecretkeeper));
    let older = Wire::of_guest(Release::V17_1);
    assert_eq!(call(&older, 1, &[]), Ok(GuestMethod::NotifyPayloadStarted));
    assert_eq!(call(&older, 8, &[]), Ok(GuestMethod::GetHostRpcProvider));
    // Until a call tells, the client's release decides.
    let unknown = Wire::of_guest(Release::V17_1);
    assert_eq!(call(&unknown, 8, &[]), Ok(GuestMethod::GetSecretkeeper));
    let unknown = Wire::of_guest(Release::V15);
    assert_eq!(call(&unknown, 8, &[]), Ok(GuestMethod::GetHostRpcProvider));
}

#[test]
fn an_unknown_config_is_refused_with_the_reason_of_each_release() {
    let wire = wire(Release::V16, false);
    // A raw config of 8 bytes: a name of no characters, and nothing else.
    let error = service(&wire, 1, &[1, 1, 1, 12, 0, 0, 0, 0, 0]).unwrap_err();
    assert!(error.starts_with(&format!("{:?}", ExceptionCode::BadParcelable)));
    for release in crate::built() {
        let part = format!(
            "{}, createVm: instanceId (byte 24) is missing",
            release.title()
        );
        assert!(error.contains(&part), "{error}");
    }
    assert!(!error.contains('\n'));
}
