// SPDX-License-Identifier: Apache-2.0
//! The interfaces' methods and their codes, release by release.

use crate::call::{Argument, Interface, Method};
use Argument::{Binder, Boolean, Bytes, File, Id, Int, Long, Parcelable, Text, Union};

macro_rules! interface {
    ($(#[$doc:meta])* $enum:ident, $static:ident: $name:literal;
     $($variant:ident $method:literal [$($argument:expr),*] $($changes:ident)? [$($code:literal),*];)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $enum {
            $($variant,)*
        }

        pub(crate) static $static: Interface<$enum> = Interface {
            name: $name,
            methods: &[$(Method {
                method: $enum::$variant,
                name: $method,
                arguments: &[$($argument),*],
                changes: false $(|| interface!(@ $changes))?,
                codes: &[$($code),*],
            },)*],
        };
    };
    (@ changes) => { true };
}

interface! {
    /// `IVirtualizationService`; a column for each [`crate::Release`].
    ServiceMethod, SERVICE: "IVirtualizationService";
    //                                                             15         16         17
    CreateVm "createVm" [Argument::CreateVm]                     [ 1,  1,  1,  1,  1,  1,  1,  1,  1];
    AllocateInstanceId "allocateInstanceId" []                   [ 2,  2,  2,  2,  2,  2,  2,  2,  2];
    InitializeWritablePartition "initializeWritablePartition" [File, Long, Int]
                                                                 [ 3,  3,  3,  3,  3,  3,  3,  3,  3];
    SetEncryptedStorageSize "setEncryptedStorageSize" [File, Long] changes
                                                                 [ 0,  0,  0,  4,  4,  4,  4,  4,  4];
    CreateOrUpdateIdsigFile "createOrUpdateIdsigFile" [File, File]
                                                                 [ 4,  4,  4,  5,  5,  5,  5,  5,  5];
    DebugListVms "debugListVms" []                               [ 5,  5,  5,  6,  6,  6,  6,  6,  6];
    GetAssignableDevices "getAssignableDevices" []               [ 6,  6,  6,  7,  7,  7,  7,  7,  7];
    GetSupportedOsList "getSupportedOSList" []                   [ 7,  7,  7,  8,  8,  8,  8,  8,  8];
    GetDebugPolicy "getDebugPolicy" []                           [ 0,  0,  0,  9,  9,  9,  9,  9,  9];
    IsFeatureEnabled "isFeatureEnabled" [Text]                   [ 8,  8,  8, 10, 10, 10, 10, 10, 10];
    EnableTestAttestation "enableTestAttestation" [] changes     [ 9,  9,  9, 11, 11, 11, 11, 11, 11];
    IsRemoteAttestationSupported "isRemoteAttestationSupported" []
                                                                 [10, 10, 10, 12, 12, 12, 12, 12, 12];
    IsUpdatableVmSupported "isUpdatableVmSupported" []           [11, 11, 11, 13, 13, 13, 13, 13, 13];
    RemoveVmInstance "removeVmInstance" [Id] changes             [12, 12, 12, 14, 14, 14, 14, 14, 14];
    ClaimVmInstance "claimVmInstance" [Id] changes               [13, 13, 13, 15, 15, 15, 15, 15, 15];
    StartOrStopAdbd "startOrStopAdbd" [Int, Boolean] changes     [ 0,  0,  0,  0,  0,  0,  0, 16, 16];
    RequestShutdown "requestShutdown" [] changes                 [ 0,  0,  0,  0,  0,  0,  0, 17, 17];
}

interface! {
    /// `IVirtualMachine`; a column for each [`crate::Release`].
    MachineMethod, MACHINE: "IVirtualMachine";
    //                                                  15         16         17
    GetCid "getCid" []                                [ 1,  1,  1,  1,  1,  1,  1,  1,  1];
    GetState "getState" []                            [ 2,  2,  2,  2,  2,  2,  2,  2,  2];
    RegisterCallback "registerCallback" [Binder]      [ 3,  3,  3,  3,  3,  3,  3,  3,  3];
    UnregisterCallback "unregisterCallback" [Binder]  [ 0,  0,  0,  0,  0,  0,  0,  0,  4];
    Start "start" [] changes                          [ 4,  4,  4,  4,  4,  4,  4,  4,  5];
    Stop "stop" [] changes                            [ 5,  5,  5,  5,  5,  5,  5,  5,  6];
    OnTrimMemory "onTrimMemory" [Int] changes         [ 6,  0,  0,  0,  0,  0,  0,  0,  0];
    IsMemoryBalloonEnabled "isMemoryBalloonEnabled" []
                                                      [ 0,  0,  0,  6,  6,  6,  6,  6,  7];
    GetMemoryBalloon "getMemoryBalloon" []            [ 0,  6,  6,  7,  7,  7,  7,  7,  8];
    SetMemoryBalloon "setMemoryBalloon" [Long] changes
                                                      [ 0,  7,  7,  8,  8,  8,  8,  8,  9];
    ConnectVsock "connectVsock" [Int]                 [ 7,  8,  8,  9,  9,  9,  9,  9, 10];
    CreateAccessorBinder "createAccessorBinder" [Text, Int]
                                                      [ 0,  0,  9, 10, 10, 10, 10, 10, 11];
    SetHostConsoleName "setHostConsoleName" [Text]    [ 0,  9, 10, 11, 11, 11, 11, 11, 12];
    Suspend "suspend" [] changes                      [ 0, 10, 11, 12, 12, 12, 12, 12, 13];
    Resume "resume" [] changes                        [ 0, 11, 12, 13, 13, 13, 13, 13, 14];
    GetDebugInfo "getDebugInfo" []                    [ 0,  0,  0,  0, 14, 14, 14, 14, 15];
    AddMemoryToGuest "addMemoryToGuest" [File, Long, Long, Long, Boolean] changes
                                                      [ 0,  0,  0,  0,  0,  0, 15, 15, 16];
    RemoveMemoryFromGuest "removeMemoryFromGuest" [Int] changes
                                                      [ 0,  0,  0,  0,  0,  0, 16, 16, 17];
    GetGuestAgent "getGuestAgent" []                  [ 0,  0,  0,  0,  0,  0, 17, 17,  0];
    GetGuestAgentPort "getGuestAgentPort" []          [ 0,  0,  0,  0,  0,  0,  0,  0, 18];
    AddDisplay "addDisplay" [Parcelable] changes      [ 0,  0,  0,  0,  0,  0, 18, 18, 19];
    RemoveDisplay "removeDisplay" [Int] changes       [ 0,  0,  0,  0,  0,  0, 19, 19, 20];
    GetDisplays "getDisplays" []                      [ 0,  0,  0,  0,  0,  0, 20, 20, 21];
}

interface! {
    /// `IVirtualMachineService`, which a guest calls. Its codes follow from the order of its methods up to
    /// Android 16, and are given in the interface's file from 17 on: a column for each.
    GuestMethod, GUEST: "IVirtualMachineService";
    NotifyPayloadStarted "notifyPayloadStarted" [] changes            [ 1,  3];
    NotifyPayloadReady "notifyPayloadReady" [] changes                [ 2,  4];
    NotifyPayloadFinished "notifyPayloadFinished" [Int] changes       [ 3,  5];
    NotifyError "notifyError" [Int, Text] changes                     [ 4,  6];
    RequestAttestation "requestAttestation" [Bytes, Boolean]          [ 5,  7];
    GetSecretkeeper "getSecretkeeper" []                              [ 6,  8];
    ClaimSecretkeeperEntry "claimSecretkeeperEntry" [Id] changes      [ 7,  9];
    GetHostRpcProvider "getHostRpcProvider" []                        [ 8, 10];
    RegisterGuestAgent "registerGuestAgent" [Binder] changes          [ 9,  2];
    GetEncryptedStoreKek "getEncryptedStoreKEK" []                    [10, 11];
    ForwardAtom "forwardAtom" [Union(8)] changes                      [11, 12];
}
