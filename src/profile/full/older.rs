// SPDX-License-Identifier: Apache-2.0
//! What the global service says in an older release's types, in the newest's.

use avf_aidl::common::{Certificate, DeathReason};
use avf_aidl::r15_qpr1::{common as older_common, service as older};
use avf_aidl::service::{AssignableDevice, VirtualMachineDebugInfo};

pub(super) fn debug_info(vm: older::VirtualMachineDebugInfo) -> VirtualMachineDebugInfo {
    VirtualMachineDebugInfo {
        cid: vm.cid,
        temporaryDirectory: vm.temporaryDirectory,
        requesterUid: vm.requesterUid,
        requesterPid: vm.requesterPid,
        hostConsoleName: vm.hostConsoleName,
        ..Default::default()
    }
}

pub(super) fn device(device: older::AssignableDevice) -> AssignableDevice {
    AssignableDevice {
        sysfsPath: device.node,
        dtboLabel: device.dtbo_label,
    }
}

pub(super) fn certificate(certificate: older_common::Certificate) -> Certificate {
    Certificate {
        encodedCertificate: certificate.encodedCertificate,
    }
}

pub(super) fn death_reason(reason: DeathReason) -> older_common::DeathReason {
    older_common::DeathReason(reason.0)
}
