// SPDX-License-Identifier: Apache-2.0
//! crosvm as VMM: what Android runs.
//!
//! The order of its arguments is a contract: on x86 guests rely on the PCI slots that follow from
//! it. `args` has that order; the table in `dialect` leaves out what a platform's crosvm does not
//! know; `abilities` asks once what a build lacks.

mod abilities;
mod args;
mod control;
mod devices;
mod dialect;
mod disks;
mod displays;
mod extras;
mod serials;
mod status;
mod value;

pub use abilities::Abilities;
pub use dialect::{Dialect, Platform};

use crate::plan::Plan;
use crate::{Error, Prepared, Vmm};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name in messages.
const NAME: &str = "crosvm";

/// crosvm.
#[derive(Debug)]
pub struct Crosvm {
    program: PathBuf,
    dialect: Dialect,
    abilities: Arc<Abilities>,
}

impl Crosvm {
    /// The crosvm at `program`, which speaks `dialect`.
    #[must_use]
    pub fn new(program: PathBuf, dialect: Dialect) -> Self {
        Self {
            abilities: Arc::new(Abilities::of(program.clone())),
            program,
            dialect,
        }
    }
}

impl Vmm for Crosvm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn program(&self) -> &Path {
        &self.program
    }

    fn prepare(&self, plan: Plan) -> Result<Prepared, Error> {
        args::build(&self.program, &self.dialect, &self.abilities, plan)
    }
}

/// An error about a field that asks for something that this crosvm cannot do.
fn unsupported(what: String) -> Error {
    Error::Unsupported { vmm: NAME, what }
}
