// SPDX-License-Identifier: Apache-2.0
//! The global service and what else only a manager on a running system calls.

use super::{Item::*, assert_codes, assert_words};

#[test]
fn transaction_codes_of_r15_qpr1() {
    use crate::r15_qpr1::generated::android::system as interfaces;
    assert_codes!(
        interfaces::virtualizationservice_internal::IVirtualizationServiceInternal,
        removeMemlockRlimit: 1, allocateGlobalVmContext: 2, atomVmBooted: 3,
        atomVmCreationRequested: 4, atomVmExited: 5, debugListVms: 6, requestAttestation: 7,
        enableTestAttestation: 8, isRemoteAttestationSupported: 9, getAssignableDevices: 10,
        bindDevicesToVfioDriver: 11, getDtboFile: 12, allocateInstanceId: 13,
        removeVmInstance: 14, claimVmInstance: 15, setDisplayService: 16,
        clearDisplayService: 17, waitDisplayService: 18, createTapInterface: 19,
        deleteTapInterface: 20,
    );
    assert_codes!(
        interfaces::virtualizationservice_internal::IGlobalVmContext,
        getCid: 1, getTemporaryDirectory: 2, setHostConsoleName: 3,
    );
    assert_codes!(
        interfaces::virtualizationservice_internal::IBoundDevice,
        getSysfsPath: 1, getDtboLabel: 2,
    );
    assert_codes!(
        interfaces::virtualizationservice_internal::IVfioHandler,
        bindDevicesToVfioDriver: 1, writeVmDtbo: 2,
    );
    assert_codes!(
        interfaces::virtualizationservice_internal::IVmnic,
        createTapInterface: 1, deleteTapInterface: 2,
    );
    assert_codes!(
        interfaces::virtualizationmaintenance::IVirtualizationMaintenance,
        appRemoved: 1, userRemoved: 2, performReconciliation: 3,
    );
    assert_codes!(
        interfaces::virtualizationmaintenance::IVirtualizationReconciliationCallback,
        doUsersExist: 1, doAppsExist: 2,
    );
    assert_codes!(
        interfaces::vmtethering::IVmTethering,
        enableVmTethering: 1, disableVmTethering: 2,
    );
    assert_codes!(
        crate::r15_qpr1::generated::android::os::IPermissionController,
        checkPermission: 1,
    );
    assert_codes!(
        crate::r15_qpr1::generated::android::content::pm::IPackageManagerNative,
        getStagedApexModuleNames: 14, getStagedApexInfo: 15,
    );
}

#[test]
fn transaction_codes_of_r16() {
    use crate::r16::generated::android::system as interfaces;
    assert_codes!(
        interfaces::virtualizationservice_internal::IVirtualizationServiceInternal,
        removeMemlockRlimit: 1, allocateGlobalVmContext: 2, atomVmBooted: 3,
        atomVmCreationRequested: 4, atomVmExited: 5, debugListVms: 6, requestAttestation: 7,
        enableTestAttestation: 8, isRemoteAttestationSupported: 9, getAssignableDevices: 10,
        bindDevicesToVfioDriver: 11, getDtboFile: 12, allocateInstanceId: 13,
        removeVmInstance: 14, claimVmInstance: 15, setDisplayService: 16,
        clearDisplayService: 17, waitDisplayService: 18, createTapInterface: 19,
        deleteTapInterface: 20, claimSecretkeeperEntry: 21,
    );
    assert_codes!(
        interfaces::virtualizationservice_internal::IGlobalVmContext,
        getCid: 1, getTemporaryDirectory: 2, setHostConsoleName: 3,
    );
    assert_codes!(
        interfaces::virtualizationservice_internal::IBoundDevice,
        getSysfsPath: 1, getDtboLabel: 2,
    );
    assert_codes!(
        interfaces::virtualizationservice_internal::IVfioHandler,
        bindDevicesToVfioDriver: 1, writeVmDtbo: 2,
    );
    assert_codes!(
        interfaces::virtualizationservice_internal::IVmnic,
        createTapInterface: 1, deleteTapInterface: 2,
    );
    assert_codes!(
        interfaces::virtualizationmaintenance::IVirtualizationMaintenance,
        appRemoved: 1, userRemoved: 2, performReconciliation: 3,
    );
    assert_codes!(
        interfaces::virtualizationmaintenance::IVirtualizationReconciliationCallback,
        doUsersExist: 1, doAppsExist: 2,
    );
    assert_codes!(
        interfaces::vmtethering::IVmTethering,
        enableVmTethering: 1, disableVmTethering: 2,
    );
    assert_codes!(
        crate::r16::generated::android::os::IPermissionController,
        checkPermission: 1,
    );
    assert_codes!(
        crate::r16::generated::android::content::pm::IPackageManagerNative,
        getStagedApexInfos: 14,
    );
}

#[test]
fn transaction_codes_of_r17_1() {
    use crate::r17_1::generated::android::system as interfaces;
    assert_codes!(
        interfaces::virtualizationservice_internal::IVirtualizationServiceInternal,
        removeMemlockRlimit: 1, allocateVmContext: 2, registerVirtualMachine: 3,
        unregisterVirtualMachine: 4, atomVmBooted: 5, atomVmCreationRequested: 6,
        atomVmExited: 7, forwardAtom: 8, debugListVms: 9, requestAttestation: 10,
        enableTestAttestation: 11, isRemoteAttestationSupported: 12,
        getAssignableDevices: 13, bindDevicesToVfioDriver: 14, getDtboFile: 15,
        allocateInstanceId: 16, removeVmInstance: 17, claimVmInstance: 18,
        setDisplayService: 19, clearDisplayService: 20, waitDisplayService: 21,
        createTapInterface: 22, deleteTapInterface: 23, claimSecretkeeperEntry: 24,
    );
    assert_codes!(
        interfaces::virtualizationservice_internal::IBoundDevice,
        getSysfsPath: 1, getDtboLabel: 2,
    );
    assert_codes!(
        interfaces::virtualizationservice_internal::IVfioHandler,
        bindDevicesToVfioDriver: 1, writeVmDtbo: 2,
    );
    assert_codes!(
        interfaces::virtualizationservice_internal::IVmnic,
        createTapInterface: 1, deleteTapInterface: 2,
    );
    assert_codes!(
        interfaces::virtualizationmaintenance::IVirtualizationMaintenance,
        appRemoved: 1, userRemoved: 2, performReconciliation: 3,
    );
    assert_codes!(
        interfaces::virtualizationmaintenance::IVirtualizationReconciliationCallback,
        doUsersExist: 1, doAppsExist: 2,
    );
    assert_codes!(
        interfaces::vmtethering::IVmTethering,
        enableVmTethering: 1, disableVmTethering: 2,
    );
    assert_codes!(
        crate::r17_1::generated::android::os::IPermissionController,
        checkPermission: 1,
    );
    assert_codes!(
        crate::r17_1::generated::android::content::pm::IPackageManagerNative,
        getStagedApexInfos: 17,
    );
}

#[test]
fn a_context_from_the_global_service() {
    use crate::r17_1::generated::android::system as interfaces;
    use interfaces::virtualizationservice_internal::IVirtualizationServiceInternal::VmContext::VmContext;
    let context = VmContext {
        cid: 2048,
        tempDir: "/d".to_owned(),
    };
    assert_words(&context, &Parcelable(vec![Int(2048), Text("/d")]));
}
