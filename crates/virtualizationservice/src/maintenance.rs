// SPDX-License-Identifier: Apache-2.0
//! `IVirtualizationMaintenance`: what the system tells about its users and apps.

use crate::instances::{self, Instances, Owner};
use crate::service::caller;
use crate::status::{exception, failure, illegal_argument};
use avf_aidl::maintenance::{
    ERROR_STOP_REQUESTED, IVirtualizationMaintenance, IVirtualizationReconciliationCallback,
};
use rsbinder::{BinderResult, ExceptionCode, Interface, Status, Strong};
use std::sync::Arc;

/// The user that Android's system server runs as.
const SYSTEM: u32 = 1000;

/// The binder object.
pub(crate) struct Maintenance {
    pub(crate) instances: Arc<Instances>,
    /// Whether user 1000 is the system: on Android.
    pub(crate) has_system_user: bool,
}

impl Interface for Maintenance {}

impl Maintenance {
    fn authorize(&self) -> BinderResult<()> {
        let uid = caller().uid;
        if uid == 0 || (self.has_system_user && uid == SYSTEM) {
            return Ok(());
        }
        let text =
            format!("user {uid} is not the system, which alone says what became of users and apps");
        Err(exception(ExceptionCode::Security, &text))
    }
}

fn number(name: &str, value: i32) -> BinderResult<u32> {
    u32::try_from(value).map_err(|_| illegal_argument(&format!("{name} {value} is negative")))
}

fn status(what: &str, error: &instances::Error) -> Status {
    match error {
        instances::Error::Caller(status)
            if status.exception_code() == ExceptionCode::ServiceSpecific
                && status.service_specific_error() == ERROR_STOP_REQUESTED =>
        {
            log::info!("{what}: stopped, as the caller wants");
            Status::new_service_specific_error(ERROR_STOP_REQUESTED, None)
        }
        instances::Error::Answers { .. } => illegal_argument(&error.to_string()),
        error => failure(what, error),
    }
}

impl IVirtualizationMaintenance for Maintenance {
    fn appRemoved(&self, user: i32, app: i32) -> BinderResult<()> {
        self.authorize()?;
        let owner = Owner {
            user: number("userId", user)?,
            app: number("appId", app)?,
        };
        self.instances
            .app_removed(owner)
            .map_err(|e| status("appRemoved", &e))
    }

    fn userRemoved(&self, user: i32) -> BinderResult<()> {
        self.authorize()?;
        self.instances
            .user_removed(number("userId", user)?)
            .map_err(|e| status("userRemoved", &e))
    }

    fn performReconciliation(
        &self,
        callback: &Strong<dyn IVirtualizationReconciliationCallback>,
    ) -> BinderResult<()> {
        self.authorize()?;
        self.instances
            .reconcile(&**callback)
            .map_err(|e| status("performReconciliation", &e))
    }
}
