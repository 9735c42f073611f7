// SPDX-License-Identifier: Apache-2.0
//! A manager for a client that has its own RPC binder library.

use crate::error::Error;
use crate::launch::Launched;
use crate::options::ManagerOptions;
use crate::thread;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A manager that is ready and looks after itself: it runs until every copy of [`socket`] is
/// closed.
///
/// [`socket`]: Detached::socket
#[derive(Debug)]
pub struct Detached {
    /// The client's end of the bootstrap socket: a Unix stream socket, close-on-exec. For each
    /// connection of its session the client sends four zero bytes and one descriptor over it.
    pub socket: OwnedFd,
    /// The manager's process id. It means that process only while `socket` is open.
    pub process_id: u32,
}

/// Forks a manager and waits until it is ready, for a client that speaks to it by itself. The
/// caller's process is the client, by which the manager knows what it may do.
///
/// A thread, `manager-reaper`, waits for the manager's end, so that it leaves no zombie whatever
/// the program does about its children; that thread ends with the manager. It cannot be joined,
/// since the descriptor is all that the caller has of the manager, so code that may be unloaded
/// must not call this. Of [`ManagerOptions`], `end_timeout` has no meaning here: no one kills a
/// manager that does not end.
///
/// # Errors
/// [`Error::Spawn`], [`Error::NotReady`] or [`Error::System`]; no process is left behind.
pub fn spawn(options: &ManagerOptions) -> Result<Detached, Error> {
    let Launched {
        socket, exit, log, ..
    } = Launched::start(options)?;
    let process_id = exit.pid();
    let exit = Arc::new(exit);
    let reaped = Arc::clone(&exit);
    let started = thread::start("manager-reaper", move || {
        reaped.wait();
        log.end();
    });
    match started {
        Ok(_) => Ok(Detached { socket, process_id }),
        Err(source) => {
            exit.kill();
            Err(Error::System {
                what: "cannot start the thread that waits for the VM manager's end",
                source,
            })
        }
    }
}
