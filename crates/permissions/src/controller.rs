// SPDX-License-Identifier: Apache-2.0
//! Permissions as Android's permission controller knows them.

use crate::{Authority, Caller, Denied, Permission};
use avf_aidl::platform::IPermissionController;
use rsbinder::{ProcessState, StatusCode, Strong, hub};
use std::fmt;

/// The controller's name with the service manager.
const SERVICE: &str = "permission";

type LookUp = dyn Fn() -> Result<Strong<dyn IPermissionController>, StatusCode> + Send + Sync;

/// Asks Android's permission controller.
pub struct Controller {
    look_up: Box<LookUp>,
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller").finish_non_exhaustive()
    }
}

impl Controller {
    /// The one that is registered with the service manager as `permission`. It is looked up for each
    /// question, since the process that has it may be restarted.
    #[must_use]
    pub fn of_service_manager() -> Self {
        Self::new(|| {
            // The library panics if it is asked for services before that.
            if !ProcessState::is_initialized() {
                return Err(StatusCode::NoInit);
            }
            hub::try_get_interface(SERVICE)?.ok_or(StatusCode::NameNotFound)
        })
    }

    /// One that `look_up` finds.
    pub fn new(
        look_up: impl Fn() -> Result<Strong<dyn IPermissionController>, StatusCode>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            look_up: Box::new(look_up),
        }
    }
}

impl Authority for Controller {
    fn check(&self, permission: Permission, caller: &Caller) -> Result<(), Denied> {
        if caller.uid == 0 {
            return Ok(());
        }
        let denied = |remedy: &str, source| Denied {
            user: format!("user {}", caller.uid),
            permission,
            remedy: remedy.into(),
            source,
        };
        let answer = (self.look_up)()
            .map_err(rsbinder::Status::from)
            .and_then(|controller| {
                controller.checkPermission(
                    permission.android_name(),
                    caller.pid,
                    caller.uid.cast_signed(),
                )
            });
        match answer {
            Ok(true) => Ok(()),
            Ok(false) => Err(denied(
                "its package must declare it and be granted it",
                None,
            )),
            Err(e) => Err(denied(
                "the permission controller (service `permission`) does not answer",
                Some(e.into()),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use avf_aidl::platform::BnPermissionController;
    use rsbinder::{BinderResult, Interface};

    struct OneApp;

    impl Interface for OneApp {}

    impl IPermissionController for OneApp {
        fn checkPermission(&self, permission: &str, pid: i32, uid: i32) -> BinderResult<bool> {
            Ok(permission == "android.permission.MANAGE_VIRTUAL_MACHINE"
                && (pid, uid) == (77, 10_001))
        }
    }

    #[test]
    fn the_controller_decides() {
        let controller = Controller::new(|| Ok(BnPermissionController::new_binder(OneApp)));
        let app = Caller {
            uid: 10_001,
            pid: 77,
        };
        controller.check(Permission::Manage, &app).unwrap();
        let denied = controller.check(Permission::Custom, &app).unwrap_err();
        assert_eq!(
            denied.to_string(),
            "user 10001 does not have the permission \
             android.permission.USE_CUSTOM_VIRTUAL_MACHINE: its package must declare it and be \
             granted it"
        );
        let other = Caller { pid: 78, ..app };
        assert!(controller.check(Permission::Manage, &other).is_err());
        let root = Caller { uid: 0, pid: 1 };
        for permission in Permission::ALL {
            controller.check(permission, &root).unwrap();
        }
    }

    #[test]
    fn no_controller_is_no_permission() {
        let controller = Controller::of_service_manager();
        let app = Caller {
            uid: 10_001,
            pid: 77,
        };
        let denied = controller.check(Permission::Manage, &app).unwrap_err();
        assert!(denied.source.is_some());
        assert!(denied.remedy.contains("does not answer"), "{denied}");
    }
}
