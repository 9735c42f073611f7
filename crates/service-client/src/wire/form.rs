// SPDX-License-Identifier: Apache-2.0
//! The forms of `IVirtualizationServiceInternal`: which method has which transaction code, and what its
//! arguments are.

use Argument::{
    Atom, Binder, Bool, Booted, Bytes, CreationRequested, Exited, File, Id, Int, Text, Texts,
};
use std::fmt;

/// A form of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// Android 15 to 15 QPR2.
    Android15,
    /// Android 16 and its QPR1: contexts have names.
    Android16,
    /// Devices with late builds of Android 16, and what is known of 17: contexts are numbers, and
    /// managers register their VMs.
    Late16,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Android15 => "Android 15",
            Self::Android16 => "Android 16",
            Self::Late16 => "Android 16 QPR2",
        })
    }
}

/// The type of an argument. None of them may be null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// `int`.
    Int,
    /// `boolean`.
    Bool,
    /// `String`.
    Text,
    /// `byte[]`.
    Bytes,
    /// `byte[64]`.
    Id,
    /// `String[]`.
    Texts,
    /// `ParcelFileDescriptor`.
    File,
    /// `IBinder`, or an interface.
    Binder,
    /// `AtomVmBooted`.
    Booted,
    /// `AtomVmCreationRequested`.
    CreationRequested,
    /// `AtomVmExited`.
    Exited,
    /// `Atom`.
    Atom,
}

/// A method of the interface, in any form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the .aidl files describe them")]
pub enum Method {
    RemoveMemlockRlimit,
    /// `allocateGlobalVmContext` up to Android 15.
    AllocateContext,
    /// `allocateGlobalVmContext` of Android 16.
    AllocateNamedContext,
    AllocateVmContext,
    RegisterVirtualMachine,
    UnregisterVirtualMachine,
    AtomVmBooted,
    AtomVmCreationRequested,
    AtomVmExited,
    ForwardAtom,
    DebugListVms,
    RequestAttestation,
    EnableTestAttestation,
    IsRemoteAttestationSupported,
    GetAssignableDevices,
    BindDevicesToVfioDriver,
    GetDtboFile,
    AllocateInstanceId,
    RemoveVmInstance,
    ClaimVmInstance,
    SetDisplayService,
    ClearDisplayService,
    WaitDisplayService,
    CreateTapInterface,
    DeleteTapInterface,
    ClaimSecretkeeperEntry,
}

use Method as M;

/// In the order of their codes, from 1 on.
const ANDROID_15: &[Method] = &[
    M::RemoveMemlockRlimit,
    M::AllocateContext,
    M::AtomVmBooted,
    M::AtomVmCreationRequested,
    M::AtomVmExited,
    M::DebugListVms,
    M::RequestAttestation,
    M::EnableTestAttestation,
    M::IsRemoteAttestationSupported,
    M::GetAssignableDevices,
    M::BindDevicesToVfioDriver,
    M::GetDtboFile,
    M::AllocateInstanceId,
    M::RemoveVmInstance,
    M::ClaimVmInstance,
    M::SetDisplayService,
    M::ClearDisplayService,
    M::WaitDisplayService,
    M::CreateTapInterface,
    M::DeleteTapInterface,
];

const ANDROID_16: &[Method] = &[
    M::RemoveMemlockRlimit,
    M::AllocateNamedContext,
    M::AtomVmBooted,
    M::AtomVmCreationRequested,
    M::AtomVmExited,
    M::DebugListVms,
    M::RequestAttestation,
    M::EnableTestAttestation,
    M::IsRemoteAttestationSupported,
    M::GetAssignableDevices,
    M::BindDevicesToVfioDriver,
    M::GetDtboFile,
    M::AllocateInstanceId,
    M::RemoveVmInstance,
    M::ClaimVmInstance,
    M::SetDisplayService,
    M::ClearDisplayService,
    M::WaitDisplayService,
    M::CreateTapInterface,
    M::DeleteTapInterface,
    M::ClaimSecretkeeperEntry,
];

const LATE_16: &[Method] = &[
    M::RemoveMemlockRlimit,
    M::AllocateVmContext,
    M::RegisterVirtualMachine,
    M::UnregisterVirtualMachine,
    M::AtomVmBooted,
    M::AtomVmCreationRequested,
    M::AtomVmExited,
    M::ForwardAtom,
    M::DebugListVms,
    M::RequestAttestation,
    M::EnableTestAttestation,
    M::IsRemoteAttestationSupported,
    M::GetAssignableDevices,
    M::BindDevicesToVfioDriver,
    M::GetDtboFile,
    M::AllocateInstanceId,
    M::RemoveVmInstance,
    M::ClaimVmInstance,
    M::SetDisplayService,
    M::ClearDisplayService,
    M::WaitDisplayService,
    M::CreateTapInterface,
    M::DeleteTapInterface,
    M::ClaimSecretkeeperEntry,
];

impl Form {
    /// All of them, older ones first.
    pub const ALL: [Self; 3] = [Self::Android15, Self::Android16, Self::Late16];

    fn methods(self) -> &'static [Method] {
        match self {
            Self::Android15 => ANDROID_15,
            Self::Android16 => ANDROID_16,
            Self::Late16 => LATE_16,
        }
    }

    /// The method with this transaction code.
    #[must_use]
    pub fn method(self, code: u32) -> Option<Method> {
        let place = usize::try_from(code.checked_sub(1)?).ok()?;
        self.methods().get(place).copied()
    }

    /// The transaction code of a method; none if the form does not have it.
    #[must_use]
    pub fn code(self, method: Method) -> Option<u32> {
        let place = self.methods().iter().position(|other| *other == method)?;
        u32::try_from(place + 1).ok()
    }
}

impl Method {
    /// As the interface calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            M::RemoveMemlockRlimit => "removeMemlockRlimit",
            M::AllocateContext | M::AllocateNamedContext => "allocateGlobalVmContext",
            M::AllocateVmContext => "allocateVmContext",
            M::RegisterVirtualMachine => "registerVirtualMachine",
            M::UnregisterVirtualMachine => "unregisterVirtualMachine",
            M::AtomVmBooted => "atomVmBooted",
            M::AtomVmCreationRequested => "atomVmCreationRequested",
            M::AtomVmExited => "atomVmExited",
            M::ForwardAtom => "forwardAtom",
            M::DebugListVms => "debugListVms",
            M::RequestAttestation => "requestAttestation",
            M::EnableTestAttestation => "enableTestAttestation",
            M::IsRemoteAttestationSupported => "isRemoteAttestationSupported",
            M::GetAssignableDevices => "getAssignableDevices",
            M::BindDevicesToVfioDriver => "bindDevicesToVfioDriver",
            M::GetDtboFile => "getDtboFile",
            M::AllocateInstanceId => "allocateInstanceId",
            M::RemoveVmInstance => "removeVmInstance",
            M::ClaimVmInstance => "claimVmInstance",
            M::SetDisplayService => "setDisplayService",
            M::ClearDisplayService => "clearDisplayService",
            M::WaitDisplayService => "waitDisplayService",
            M::CreateTapInterface => "createTapInterface",
            M::DeleteTapInterface => "deleteTapInterface",
            M::ClaimSecretkeeperEntry => "claimSecretkeeperEntry",
        }
    }

    /// What it is called with.
    #[must_use]
    pub fn arguments(self) -> &'static [Argument] {
        match self {
            M::AllocateContext | M::UnregisterVirtualMachine => &[Int],
            M::AllocateNamedContext => &[Text, Int],
            M::RegisterVirtualMachine => &[Int, Binder],
            M::AtomVmBooted => &[Booted],
            M::AtomVmCreationRequested => &[CreationRequested],
            M::AtomVmExited => &[Exited],
            M::ForwardAtom => &[Atom, Int, Text],
            M::RequestAttestation => &[Bytes, Int, Bool],
            M::BindDevicesToVfioDriver => &[Texts],
            M::RemoveVmInstance | M::ClaimVmInstance | M::ClaimSecretkeeperEntry => &[Id],
            M::SetDisplayService => &[Binder],
            M::CreateTapInterface => &[Text],
            M::DeleteTapInterface => &[File],
            M::RemoveMemlockRlimit
            | M::AllocateVmContext
            | M::DebugListVms
            | M::EnableTestAttestation
            | M::IsRemoteAttestationSupported
            | M::GetAssignableDevices
            | M::GetDtboFile
            | M::AllocateInstanceId
            | M::ClearDisplayService
            | M::WaitDisplayService => &[],
        }
    }

    /// Whether a call that was meant for another method leaves nothing behind.
    #[must_use]
    pub fn is_harmless(self) -> bool {
        matches!(
            self,
            M::RemoveMemlockRlimit
                | M::DebugListVms
                | M::IsRemoteAttestationSupported
                | M::GetAssignableDevices
                | M::GetDtboFile
        )
    }
}
