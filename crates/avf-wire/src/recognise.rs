// SPDX-License-Identifier: Apache-2.0
//! Which release a peer speaks, learnt from its calls. Nothing in the transport tells it.
//!
//! At first every form that is built in is possible. Each call rules out those in which it would not
//! be a call. While several forms are left that take a call for different methods, the default
//! decides, but never towards a method that changes something.

use crate::call::{Argument, Interface, Method};
use crate::read::{NoObjects, Stop, create_vm};
use crate::release::{LAYOUTS, Layout, Release, field, layout};
use rsbinder::{ExceptionCode, Status};
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

/// A set of forms, a bit for each.
type Forms = u16;

/// The form that [`Wire::fixed`] speaks also where its release is not built in.
static FIXED: Layout = Layout {
    release: Release::NEWEST,
    fields: field::Set::MAX & !(field::NO_BALLOON | field::SHARED_SOCKET),
};

/// What is known of the release that a peer speaks.
#[derive(Debug)]
pub struct Wire {
    default: usize,
    is_told: bool,
    possible: Mutex<Forms>,
    titles: &'static [&'static str],
}

/// The release that is taken for a peer's until its calls tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Default {
    /// The release.
    pub release: Release,
    /// Whether someone said so, by an option or a variable. What is derived from the system's
    /// properties is a guess, which never decides for a method that changes something.
    pub is_told: bool,
}

impl std::default::Default for Default {
    /// The newest release that is built in, as a guess.
    fn default() -> Self {
        Self {
            release: LAYOUTS.last().map_or(Release::NEWEST, |last| last.release),
            is_told: false,
        }
    }
}

/// What a call is.
pub(crate) struct Resolved<M: 'static> {
    pub(crate) method: &'static Method<M>,
    pub(crate) layout: &'static Layout,
}

/// A call that is not one of the peer's release.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// No form has a method with this code.
    Unknown,
    /// The exception that says why.
    Status(Status),
}

const TITLES: [&str; 9] = {
    let mut titles = [""; 9];
    let mut at = 0;
    while at < titles.len() {
        titles[at] = Release::ALL[at].title();
        at += 1;
    }
    titles
};

/// The forms of a guest's interface; see [`crate::interfaces`].
const GUEST_TITLES: [&str; 2] = ["Android 15 and 16", "Android 17"];

impl Wire {
    /// Nothing is known yet of a client.
    #[must_use]
    pub fn new(default: Default) -> Self {
        Self {
            default: default.release as usize,
            is_told: default.is_told,
            possible: Mutex::new(forms(LAYOUTS.iter())),
            titles: &TITLES,
        }
    }

    /// A client that speaks the newest release's interfaces, whichever releases are built in: one of
    /// this project's own tools.
    #[must_use]
    pub fn newest() -> Self {
        Self {
            default: Release::NEWEST as usize,
            is_told: true,
            possible: Mutex::new(1 << Release::NEWEST as usize),
            titles: &TITLES,
        }
    }

    /// A guest of a VM whose client speaks the release `client`.
    #[must_use]
    pub fn of_guest(client: Release) -> Self {
        let explicit = client >= Release::V17Preview;
        Self {
            default: explicit.into(),
            is_told: false,
            possible: Mutex::new(0b11),
            titles: &GUEST_TITLES,
        }
    }

    /// The release of the client: the one that its calls have shown, else the default, else the
    /// newest that is still possible.
    #[must_use]
    pub fn release(&self) -> Release {
        let possible = *self.possible();
        let form = chosen(possible, self.default);
        Release::ALL.get(form).copied().unwrap_or(Release::NEWEST)
    }

    fn possible(&self) -> std::sync::MutexGuard<'_, Forms> {
        self.possible.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds the method of a call by its code and the words of its arguments.
    pub(crate) fn resolve<M: Copy + PartialEq>(
        &self,
        interface: &Interface<M>,
        code: u32,
        words: &[u32],
    ) -> Result<Resolved<M>, Refusal> {
        let mut possible = self.possible();
        let call = Call {
            interface,
            code,
            words,
            titles: self.titles,
        };
        let (fits, asked) = call.fits(*possible);
        if fits == 0 {
            return Err(call.refusal(*possible));
        }
        let form = chosen(fits, self.default);
        let Some(method) = interface.method(form, code) else {
            return Err(Refusal::Unknown);
        };
        let same = |other: usize| {
            let other = interface.method(other, code);
            other.is_some_and(|other| other.method == method.method)
        };
        if !each(fits).all(same) {
            if method.changes && !self.is_told {
                return Err(Refusal::Status(call.unclear(fits)));
            }
            return Ok(Resolved {
                method,
                layout: layout_of(form),
            });
        }
        if method.arguments == [Argument::CreateVm] {
            let fields = layout_of(form).fields;
            let differs = |other: usize| (layout_of(other).fields ^ fields) & asked != 0;
            if each(fits).any(differs) {
                return Err(Refusal::Status(call.unclear(fits)));
            }
        }
        if fits != *possible {
            *possible = fits;
            self.say(&call, method, fits);
        }
        Ok(Resolved {
            method,
            layout: layout_of(form),
        })
    }

    /// Says which release was recognised: once it is one, or once a VM is asked for in a form that
    /// several share.
    fn say<M>(&self, call: &Call<'_, M>, method: &Method<M>, fits: Forms) {
        let is_decided = fits.is_power_of_two() || method.arguments == [Argument::CreateVm];
        log::log!(
            if is_decided {
                log::Level::Info
            } else {
                log::Level::Debug
            },
            "the {} speaks the wire of {}, by {} (code {} of {})",
            self.peer(),
            call.list(fits),
            method.name,
            call.code,
            call.interface.name,
        );
    }

    fn peer(&self) -> &'static str {
        if self.titles.len() == TITLES.len() {
            "client"
        } else {
            "guest"
        }
    }
}

/// What the words of `createVm`'s arguments are taken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recognised {
    /// The releases whose arguments they are, oldest first.
    pub releases: Vec<Release>,
    /// Whether these releases would read different things in them. Such a call is refused.
    pub is_ambiguous: bool,
    /// For each other release that is built in, where it stopped.
    pub stops: Vec<(Release, Stop)>,
}

/// Finds the releases, of those that are built in, whose `createVm` has these arguments: little-endian
/// words, as they stand in the transaction after the interface's name.
#[must_use]
pub fn recognise(words: &[u32]) -> Recognised {
    let (mut fits, mut stops) = (Vec::new(), Vec::new());
    let mut asked = 0;
    for layout in LAYOUTS {
        match create_vm(words, layout, &mut NoObjects) {
            (Ok(_), met) => {
                fits.push(layout);
                asked |= met;
            }
            (Err(stop), _) => stops.push((layout.release, stop)),
        }
    }
    let differs = |pair: &[&Layout]| (pair[0].fields ^ pair[1].fields) & asked != 0;
    Recognised {
        is_ambiguous: fits.windows(2).any(differs),
        releases: fits.iter().map(|layout| layout.release).collect(),
        stops,
    }
}

/// One call.
struct Call<'a, M: 'static> {
    interface: &'a Interface<M>,
    code: u32,
    words: &'a [u32],
    titles: &'static [&'static str],
}

impl<M> Call<'_, M> {
    /// Reads the arguments as a form has them; `None` if it has no such method.
    fn read(&self, form: usize) -> Option<(Result<(), Stop>, field::Set)> {
        let method = self.interface.method(form, self.code)?;
        let layout = layout_of(form);
        if method.arguments == [Argument::CreateVm] {
            let (read, asked) = create_vm(self.words, layout, &mut NoObjects);
            return Some((read.map(drop), asked));
        }
        Some((method.fits(self.words, layout), 0))
    }

    /// Which of the forms `of` this is a call in, and which differences it has met.
    fn fits(&self, of: Forms) -> (Forms, field::Set) {
        let mut fits = (0, 0);
        for form in each(of) {
            if let Some((Ok(()), asked)) = self.read(form) {
                fits = (fits.0 | 1 << form, fits.1 | asked);
            }
        }
        fits
    }

    /// Why no form of `tried` takes this.
    fn refusal(&self, tried: Forms) -> Refusal {
        let Self {
            interface, code, ..
        } = self;
        let all = if self.titles.len() == TITLES.len() {
            forms(LAYOUTS.iter())
        } else {
            0b11
        };
        let (others, _) = self.fits(all & !tried);
        if others != 0 {
            return self.status(&format!(
                "code {code} of {} with these arguments is a call of {}, but this peer has spoken {} before; \
                 speak one release in all calls",
                interface.name,
                self.list(others),
                self.list(tried),
            ));
        }
        let mut stops = String::new();
        for form in each(tried) {
            let method = interface.method(form, *code);
            if let (Some(method), Some((Err(stop), _))) = (method, self.read(form)) {
                let separator = if stops.is_empty() { "" } else { "; " };
                let title = self.titles[form];
                let _ = write!(stops, "{separator}{title}, {}: {stop}", method.name);
            }
        }
        if stops.is_empty() {
            return Refusal::Unknown;
        }
        let which = if tried == all {
            "a release that is built in"
        } else {
            "the release that this peer has spoken before"
        };
        self.status(&format!(
            "the arguments of code {code} of {} are not those of {which}: {stops}",
            interface.name
        ))
    }

    fn list(&self, of: Forms) -> String {
        let titles: Vec<&str> = each(of).map(|form| self.titles[form]).collect();
        titles.join(" or ")
    }

    fn status(&self, text: &str) -> Refusal {
        log::warn!("{text}");
        Refusal::Status((ExceptionCode::BadParcelable, text).into())
    }

    /// Several releases would do different things.
    fn unclear(&self, fits: Forms) -> Status {
        let text = format!(
            "code {} of {} means different things in {}; call createVm first, or set VIRTMGR_WIRE to the \
             client's release",
            self.code,
            self.interface.name,
            self.list(fits),
        );
        log::warn!("{text}");
        (ExceptionCode::IllegalState, text.as_str()).into()
    }
}

fn forms<'a>(layouts: impl Iterator<Item = &'a Layout>) -> Forms {
    layouts.fold(0, |forms, layout| forms | 1 << layout.release as usize)
}

/// The default if it is in `forms`, else the newest that is.
fn chosen(forms: Forms, default: usize) -> usize {
    if forms & 1 << default != 0 {
        return default;
    }
    (Forms::BITS - 1)
        .saturating_sub(forms.leading_zeros())
        .try_into()
        .unwrap_or_default()
}

fn each(forms: Forms) -> impl Iterator<Item = usize> {
    (0..16).filter(move |form| forms & 1 << form != 0)
}

/// The layout of a form; what a guest calls has the same in both of its forms.
fn layout_of(form: usize) -> &'static Layout {
    let release = Release::ALL.get(form).copied();
    release.and_then(layout).unwrap_or(&FIXED)
}
