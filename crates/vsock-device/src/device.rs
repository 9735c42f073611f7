// SPDX-License-Identifier: Apache-2.0
//! The event loop.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::event::{Timespec, epoll::EventFlags};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use vhost::vhost_user::{BackendReqHandler, Error as VhostUserError};

use crate::frontend::Frontend;
use crate::mux::Mux;
use crate::ring::{self, Workspace};
use crate::table::Token;
use crate::{Config, Error};

const VHOST_USER: u64 = 0;
const LISTENER: u64 = 1;
/// The most programs let in between two looks at everything else.
const ACCEPT_BATCH: usize = 32;
/// The most events taken from the kernel at once.
const EVENTS: usize = 64;
/// How long the VMM may take to finish a message it has begun.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(5);
/// `_` and the ten digits of a port, and the terminating NUL of a socket address of 108 bytes.
const MAX_PREFIX: usize = 108 - 11 - 1;

/// Whether programs wait at the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// None since the last edge.
    Nobody,
    /// There may be some.
    Perhaps,
    /// There are, but descriptors ran out; worth a try once a connection ended after this many.
    UntilRemoval(u64),
}

/// The device with everything it needs to run.
pub(crate) struct Device {
    epoll: Arc<OwnedFd>,
    frontend: Arc<Mutex<Frontend>>,
    handler: BackendReqHandler<Mutex<Frontend>>,
    listener: OwnedFd,
    waiting: Waiting,
    mux: Mux,
    work: Workspace,
}

impl Device {
    /// Checks the configuration and acquires every resource.
    pub(crate) fn new(config: Config) -> Result<Self, Error> {
        let Config {
            vhost_user,
            guest_cid,
            listener,
            directory,
            prefix,
        } = config;
        if !(1..=MAX_PREFIX).contains(&prefix.len()) || prefix.contains(['/', '\0']) {
            return Err(Error::Prefix {
                prefix,
                max: MAX_PREFIX,
            });
        }
        let bad = |what, expected| {
            move |source: io::Error| Error::Descriptor {
                what,
                expected,
                source,
            }
        };
        // Relative names spare the device an absolute path, which might not fit a socket address.
        rustix::process::fchdir(&directory)
            .map_err(|e| bad("directory", "a directory that may be searched")(e.into()))?;
        let stream = UnixStream::from(vhost_user);
        let bad_stream = bad("vhost_user", "a connected Unix stream socket");
        stream
            .set_nonblocking(false)
            .and_then(|()| stream.set_read_timeout(Some(MESSAGE_TIMEOUT)))
            .and_then(|()| stream.set_write_timeout(Some(MESSAGE_TIMEOUT)))
            .map_err(bad_stream)?;
        let bad_listener = bad("listener", "a bound and listening Unix stream socket");
        match rustix::net::sockopt::socket_acceptconn(&listener) {
            Ok(true) => {}
            Ok(false) => return Err(bad_listener(Errno::INVAL.into())),
            Err(e) => return Err(bad_listener(e.into())),
        }
        rustix::io::ioctl_fionbio(&listener, true).map_err(|e| bad_listener(e.into()))?;

        let epoll = Arc::new(
            epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| Error::EventLoop(e.into()))?,
        );
        let watch = |fd: std::os::fd::BorrowedFd<'_>, token, flags| {
            epoll::add(&*epoll, fd, epoll::EventData::new_u64(token), flags)
                .map_err(|e| Error::EventLoop(e.into()))
        };
        watch(stream.as_fd(), VHOST_USER, EventFlags::IN)?;
        watch(listener.as_fd(), LISTENER, EventFlags::IN | EventFlags::ET)?;
        let frontend =
            Frontend::new(guest_cid.get(), Arc::clone(&epoll)).map_err(Error::EventLoop)?;
        let frontend = Arc::new(Mutex::new(frontend));
        Ok(Self {
            handler: BackendReqHandler::from_stream(stream, Arc::clone(&frontend)),
            frontend,
            listener,
            waiting: Waiting::Perhaps,
            mux: Mux::new(guest_cid.get(), prefix, Arc::clone(&epoll)),
            work: Workspace::new(),
            epoll,
        })
    }

    /// Runs until the VMM hangs up.
    pub(crate) fn serve(&mut self) -> Result<(), Error> {
        let mut space = [MaybeUninit::uninit(); EVENTS];
        let mut busy = false;
        loop {
            let timeout = self.timeout(busy);
            let (events, _) = match epoll::wait(&*self.epoll, &mut space[..], timeout.as_ref()) {
                Ok(events) => events,
                Err(Errno::INTR) => continue,
                Err(e) => return Err(Error::EventLoop(e.into())),
            };
            let mut request = false;
            for event in events {
                let (token, flags) = (event.data.u64(), event.flags);
                match token {
                    VHOST_USER => request = true,
                    LISTENER => self.waiting = Waiting::Perhaps,
                    // A kick; both queues are looked at in any case.
                    kick if kick < Token::FIRST => {}
                    _ => self.mux.on_event(
                        token,
                        flags.contains(EventFlags::IN),
                        flags.contains(EventFlags::OUT),
                        flags.intersects(EventFlags::HUP | EventFlags::ERR),
                    ),
                }
            }
            if request && !self.handle_request()? {
                return Ok(());
            }
            if self.mux.next_deadline().is_some() {
                self.mux.expire(Instant::now());
            }
            busy = self.turn();
        }
    }

    fn timeout(&self, busy: bool) -> Option<Timespec> {
        let wait = if busy {
            Duration::ZERO
        } else {
            self.mux
                .next_deadline()?
                .saturating_duration_since(Instant::now())
        };
        Timespec::try_from(wait).ok()
    }

    /// Handles one request of the VMM; returns whether it is still there.
    fn handle_request(&mut self) -> Result<bool, Error> {
        match self.handler.handle_request() {
            Ok(()) => Ok(true),
            Err(
                VhostUserError::Disconnected
                | VhostUserError::PartialMessage
                | VhostUserError::SocketBroken(_),
            ) => Ok(false),
            Err(e) => Err(Error::VhostUser(e)),
        }
    }

    /// Gives everything its turn; returns whether something is left that need not wait.
    fn turn(&mut self) -> bool {
        self.accept();
        let mut frontend = self.frontend.lock().unwrap_or_else(PoisonError::into_inner);
        if frontend.take_restarted() {
            self.mux.forget_guest();
        }
        let Some(path) = frontend.data_path() else {
            return self.waiting == Waiting::Perhaps;
        };
        self.mux.set_guest_ready();
        let unread = ring::receive(path.transmit, path.memory, &mut self.mux, &mut self.work);
        let unsent = ring::send(path.receive, path.memory, &mut self.mux, &mut self.work);
        // Unread packets that wait for RSTs to be taken have to wait for the guest.
        (unread && self.mux.can_receive()) || unsent || self.waiting == Waiting::Perhaps
    }

    /// Lets programs in that wish to reach the guest.
    fn accept(&mut self) {
        match self.waiting {
            Waiting::Nobody => return,
            Waiting::UntilRemoval(seen) if seen == self.mux.removals() => return,
            Waiting::Perhaps | Waiting::UntilRemoval(_) => self.waiting = Waiting::Perhaps,
        }
        for _ in 0..ACCEPT_BATCH {
            match rustix::net::accept_with(
                &self.listener,
                SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
            ) {
                Ok(stream) => self.mux.accept(stream),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::AGAIN) => {
                    self.waiting = Waiting::Nobody;
                    return;
                }
                Err(_) => {
                    self.waiting = Waiting::UntilRemoval(self.mux.removals());
                    return;
                }
            }
        }
    }
}
