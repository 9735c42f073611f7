// SPDX-License-Identifier: Apache-2.0
//! Which form of the interface each caller speaks.
//!
//! Nothing names it, so it is learnt from the calls: each leaves those forms that it fits. A manager is
//! one process, which is what the kernel names for each call.

use permissions::Caller;
use service_client::wire::{Form, Method, Wire};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use vm_directory::Process;

/// The most callers that are remembered. What others speak is told by each call alone.
const MOST: usize = 8192;

/// Some of the forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forms(u8);

impl Forms {
    const ALL: Self = Self(u8::MAX);

    /// Those of which this is true.
    pub(crate) fn filter(mut is_in: impl FnMut(Form) -> bool) -> Self {
        let bits = Form::ALL.into_iter().filter(|form| is_in(*form)).map(bit);
        Self(bits.fold(0, |all, bit| all | bit))
    }

    pub(crate) fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    fn contains(self, form: Form) -> bool {
        self.0 & bit(form) != 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Form> {
        Form::ALL
            .into_iter()
            .filter(move |form| self.contains(*form))
    }

    /// The one form, if it is only one.
    fn only(self) -> Option<Form> {
        let mut forms = self.iter();
        forms.next().filter(|_| forms.next().is_none())
    }
}

impl fmt::Display for Forms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, form) in self.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { " or " })?;
            write!(f, "{form}")?;
        }
        Ok(())
    }
}

fn bit(form: Form) -> u8 {
    match form {
        Form::Android15 => 1,
        Form::Android16 => 2,
        Form::Late16 => 4,
    }
}

/// Why a call is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It is of another form than the calls before.
    #[error(
        "cannot take call {code} as {method}: it is of {forms}, and earlier calls of process {pid} are of \
         {known}; let a process speak one release"
    )]
    Mixed {
        code: u32,
        method: &'static str,
        forms: Forms,
        pid: i32,
        known: Forms,
    },
    /// It could be one of several methods, and the wrong one would change something.
    #[error(
        "cannot tell whether call {code} is {methods}: nothing says which release process {pid} speaks; \
         start virtualizationservice with --wire RELEASE"
    )]
    Ambiguous {
        code: u32,
        methods: String,
        pid: i32,
    },
}

struct Known {
    process: Process,
    forms: Forms,
}

/// What was learnt of the callers.
pub(crate) struct Callers {
    wire: Wire,
    known: Mutex<HashMap<(u32, i32), Known>>,
}

impl Callers {
    /// `wire` is what is spoken by callers who do not show it.
    pub(crate) fn new(wire: Wire) -> Self {
        Self {
            wire,
            known: Mutex::default(),
        }
    }

    /// The form in which `caller` made the call `code`, whose bytes fit all of `fitting`.
    ///
    /// # Errors
    /// If it is none that the caller speaks, or cannot be told.
    pub(crate) fn decide(
        &self,
        caller: Caller,
        code: u32,
        fitting: Forms,
    ) -> Result<Form, Refusal> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (caller.uid, caller.pid);
        let methods = |forms: Forms| {
            let mut methods: Vec<Method> = Vec::new();
            for method in forms.iter().filter_map(|form| form.method(code)) {
                // Both forms of one method are told apart by their arguments.
                if !methods.contains(&method) {
                    methods.push(method);
                }
            }
            methods
        };
        // Another process may have its number by now. That is looked at only where it matters.
        let is_clear = methods(fitting).len() == 1;
        let fits = |known: &Known| !known.forms.and(fitting).is_empty();
        if let Some(entry) = known.get(&key)
            && !(is_clear && fits(entry))
            && !entry.process.is_alive()
        {
            known.remove(&key);
        }
        let before = known.get(&key).map_or(Forms::ALL, |entry| entry.forms);
        let forms = before.and(fitting);
        let of_forms = methods(forms);
        let Some(first) = of_forms.first() else {
            return Err(Refusal::Mixed {
                code,
                method: methods(fitting).first().map_or("", |method| method.name()),
                forms: fitting,
                pid: caller.pid,
                known: before,
            });
        };
        let chosen = if forms.contains(Form::from(self.wire.release)) {
            Some(Form::from(self.wire.release))
        } else {
            forms.iter().next()
        };
        let is_guess = of_forms.len() > 1;
        let method = chosen.and_then(|form| form.method(code));
        let is_named = self.wire.is_named && chosen == Some(Form::from(self.wire.release));
        if is_guess && !is_named && !method.unwrap_or(*first).is_harmless() {
            let names: Vec<_> = of_forms.iter().map(|method| method.name()).collect();
            return Err(Refusal::Ambiguous {
                code,
                methods: names.join(" or "),
                pid: caller.pid,
            });
        }
        if !is_guess && forms != before {
            if let Some(form) = forms.only() {
                log::info!(
                    "process {} of user {} speaks as in {form}, by call {code} ({})",
                    caller.pid,
                    caller.uid,
                    first.name()
                );
            }
            learn(&mut known, key, forms);
        }
        // `forms` is not empty.
        Ok(chosen.unwrap_or(Form::Android15))
    }
}

fn learn(known: &mut HashMap<(u32, i32), Known>, key: (u32, i32), forms: Forms) {
    if let Some(entry) = known.get_mut(&key) {
        entry.forms = forms;
        return;
    }
    let Some(process) = Process::of_pid(key.1) else {
        return;
    };
    if known.len() >= MOST {
        known.retain(|_, entry| entry.process.is_alive());
    }
    if known.len() < MOST {
        known.insert(key, Known { process, forms });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use service_client::wire::Release;

    fn this() -> Caller {
        Caller {
            uid: 7,
            pid: Process::this().pid,
        }
    }

    fn of(forms: &[Form]) -> Forms {
        Forms::filter(|form| forms.contains(&form))
    }

    #[test]
    fn calls_narrow_what_a_caller_speaks() {
        use Form::{Android15, Android16, Late16};
        let callers = Callers::new(Wire::ASSUMED);
        let all = of(&Form::ALL);
        assert_eq!(callers.decide(this(), 1, all), Ok(Android15));
        // debugListVms.
        let old = of(&[Android15, Android16]);
        assert_eq!(callers.decide(this(), 6, old), Ok(Android15));
        assert_eq!(callers.decide(this(), 9, all), Ok(Android15));
        // allocateGlobalVmContext with a name.
        assert_eq!(callers.decide(this(), 2, of(&[Android16])), Ok(Android16));
        assert_eq!(callers.decide(this(), 13, all), Ok(Android16));
        // Of another form.
        let error = callers.decide(this(), 2, of(&[Late16])).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot take call 2 as allocateVmContext: it is of Android 16 QPR2, and earlier calls of \
                 process {} are of Android 16; let a process speak one release",
                this().pid
            )
        );
        // What it speaks stays.
        assert_eq!(callers.decide(this(), 13, all), Ok(Android16));
        // Another user's process is another caller.
        let other = Caller { uid: 8, ..this() };
        assert_eq!(callers.decide(other, 2, of(&[Late16])), Ok(Late16));
    }

    #[test]
    fn no_guess_changes_anything() {
        use Form::{Android15, Late16};
        let all = of(&Form::ALL);
        let callers = Callers::new(Wire::ASSUMED);
        // allocateInstanceId, or getAssignableDevices.
        let error = callers.decide(this(), 13, all).unwrap_err().to_string();
        assert!(
            error.contains("allocateInstanceId or getAssignableDevices"),
            "{error}"
        );
        assert!(error.ends_with("start virtualizationservice with --wire RELEASE"));
        // What is only asked for is answered as the default has it.
        assert_eq!(callers.decide(this(), 9, all), Ok(Android15));
        assert_eq!(callers.decide(this(), 12, all), Ok(Android15));
        // Whoever named the release has said what it is.
        let callers = Callers::new(Wire::named(Release::V15));
        assert_eq!(callers.decide(this(), 13, all), Ok(Android15));
        let callers = Callers::new(Wire::named(Release::V17));
        assert_eq!(callers.decide(this(), 13, all), Ok(Late16));
    }

    #[test]
    fn a_later_process_of_the_same_number_is_another_caller() {
        let callers = Callers::new(Wire::ASSUMED);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let caller = Caller {
            uid: 7,
            pid: child.id().cast_signed(),
        };
        assert!(callers.decide(caller, 2, of(&[Form::Android16])).is_ok());
        child.wait().unwrap();
        let form = callers.decide(caller, 2, of(&[Form::Late16]));
        assert_eq!(form, Ok(Form::Late16));
    }
}
