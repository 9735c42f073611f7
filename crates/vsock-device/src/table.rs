// SPDX-License-Identifier: Apache-2.0
//! The connections of a guest: found by ports, bounded in number and in memory.

use std::collections::BTreeMap;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::conn::{Conn, Key, State};

/// The most connections at once, in whatever state.
pub(crate) const MAX_CONNECTIONS: usize = 960;
/// The most of them that the guest may have opened, so that a guest cannot lock the host out.
pub(crate) const MAX_FROM_GUEST: usize = 720;
/// The most programs on the host that have yet to send their `CONNECT` line.
pub(crate) const MAX_HANDSHAKES: usize = 64;

/// The largest and the smallest receive buffer of a connection, in bytes.
const MAX_WINDOW: usize = 256 * 1024;
const MIN_WINDOW: usize = 16 * 1024;
/// What all receive buffers may hold together: the smallest for each connection and some more.
pub(crate) const MAX_BUFFERED: usize = MAX_CONNECTIONS * MIN_WINDOW + 8 * 1024 * 1024;

/// The place of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(u32);

/// A connection's place together with how often that place was taken, for the event loop.
///
/// An event may come for a connection whose place another one has taken meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token(u64);

impl Token {
    /// Tokens below this number are free for other uses.
    pub(crate) const FIRST: u64 = 16;

    pub(crate) fn raw(self) -> u64 {
        self.0
    }
}

/// Which side opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Host,
    Guest,
}

#[derive(Debug, Default)]
struct Place {
    taken: u32,
    /// Whether the place waits in the mux's queue, which outlives the connection in it.
    queued: bool,
    entry: Option<(Origin, Conn)>,
}

/// All connections of the guest.
#[derive(Debug, Default)]
pub(crate) struct Table {
    places: Vec<Place>,
    free: Vec<u32>,
    keys: BTreeMap<Key, Slot>,
    from_guest: usize,
    reserved: usize,
    /// How many connections ever ended.
    removed: u64,
}

impl Table {
    /// Adds a connection, if there is room; one that only drains makes room.
    pub(crate) fn insert(
        &mut self,
        stream: OwnedFd,
        origin: Origin,
        state: State,
        key: Key,
    ) -> Option<Slot> {
        if origin == Origin::Guest && self.from_guest >= MAX_FROM_GUEST {
            self.evict(|origin, conn| origin == Origin::Guest && conn.state == State::Draining)?;
        }
        if self.len() >= MAX_CONNECTIONS {
            self.evict(|_, conn| conn.state == State::Draining)?;
        }
        let window = self.window();
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.places.len()).ok()?;
                self.places.push(Place::default());
                index
            }
        };
        let place = self.places.get_mut(usize::try_from(index).ok()?)?;
        place.taken = place.taken.wrapping_add(1);
        let window_field = u32::try_from(window).unwrap_or(u32::MAX);
        place.entry = Some((origin, Conn::new(stream, state, key, window_field)));
        self.reserved += window;
        if origin == Origin::Guest {
            self.from_guest += 1;
        }
        Some(Slot(index))
    }

    /// The receive buffer for one more connection: generous while there are few.
    fn window(&self) -> usize {
        let others = MAX_CONNECTIONS.saturating_sub(self.len());
        let spare = MAX_BUFFERED.saturating_sub(self.reserved + others * MIN_WINDOW);
        // A multiple of 4 KiB, the usual size of a guest's buffers.
        (MIN_WINDOW + spare / 8 / 4096 * 4096).min(MAX_WINDOW)
    }

    fn evict(&mut self, which: impl Fn(Origin, &Conn) -> bool) -> Option<()> {
        let slot = self.slots().find(|&slot| {
            self.entry(slot)
                .is_some_and(|(origin, conn)| which(*origin, conn))
        })?;
        self.remove(slot);
        Some(())
    }

    /// Ends a connection and closes its socket.
    pub(crate) fn remove(&mut self, slot: Slot) {
        self.unlink(slot);
        let Some(place) = usize::try_from(slot.0)
            .ok()
            .and_then(|index| self.places.get_mut(index))
        else {
            return;
        };
        if let Some((origin, conn)) = place.entry.take() {
            self.reserved -= usize::try_from(conn.credit().window()).unwrap_or(0);
            if origin == Origin::Guest {
                self.from_guest -= 1;
            }
            self.removed += 1;
            self.free.push(slot.0);
        }
    }

    /// Lets packets with the connection's ports find it.
    pub(crate) fn link(&mut self, slot: Slot) {
        if let Some((_, conn)) = self.entry(slot) {
            self.keys.insert(conn.key, slot);
        }
    }

    /// The opposite of [`Self::link`].
    pub(crate) fn unlink(&mut self, slot: Slot) {
        if let Some((_, conn)) = self.entry(slot) {
            let key = conn.key;
            if self.keys.get(&key) == Some(&slot) {
                self.keys.remove(&key);
            }
        }
    }

    pub(crate) fn find(&self, key: Key) -> Option<Slot> {
        self.keys.get(&key).copied()
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut Conn> {
        let place = self.places.get_mut(usize::try_from(slot.0).ok()?)?;
        place.entry.as_mut().map(|(_, conn)| conn)
    }

    /// The host's end of a connection.
    pub(crate) fn stream(&self, slot: Slot) -> Option<BorrowedFd<'_>> {
        self.entry(slot)?.1.stream()
    }

    fn entry(&self, slot: Slot) -> Option<&(Origin, Conn)> {
        self.places
            .get(usize::try_from(slot.0).ok()?)?
            .entry
            .as_ref()
    }

    /// Marks the place as queued or not, and returns whether it was.
    pub(crate) fn set_queued(&mut self, slot: Slot, queued: bool) -> bool {
        usize::try_from(slot.0)
            .ok()
            .and_then(|index| self.places.get_mut(index))
            .is_some_and(|place| std::mem::replace(&mut place.queued, queued))
    }

    /// The token under which the event loop reports on the connection.
    pub(crate) fn token(&self, slot: Slot) -> Token {
        let taken = usize::try_from(slot.0)
            .ok()
            .and_then(|index| self.places.get(index))
            .map_or(0, |place| place.taken);
        Token(u64::from(taken) << 32 | (u64::from(slot.0) + Token::FIRST))
    }

    /// The connection a token was made for, if it still lives.
    pub(crate) fn by_token(&self, raw: u64) -> Option<Slot> {
        let index = (raw & u64::from(u32::MAX)).checked_sub(Token::FIRST)?;
        let slot = Slot(u32::try_from(index).ok()?);
        (self.entry(slot).is_some() && self.token(slot) == Token(raw)).then_some(slot)
    }

    /// The places of all connections.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        let taken: Vec<Slot> = (0_u32..)
            .zip(&self.places)
            .filter(|(_, place)| place.entry.is_some())
            .map(|(index, _)| Slot(index))
            .collect();
        taken.into_iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(crate) fn removed(&self) -> u64 {
        self.removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> OwnedFd {
        // Any descriptor will do, as nothing is sent.
        std::fs::File::open("/dev/null").unwrap().into()
    }

    fn key(n: usize) -> Key {
        Key {
            host_port: 1,
            guest_port: u32::try_from(n).unwrap(),
        }
    }

    #[test]
    fn number_and_memory_are_bounded() {
        let mut table = Table::default();
        let mut windows = Vec::new();
        for n in 0..2 * MAX_CONNECTIONS {
            let origin = if n % 2 == 0 {
                Origin::Guest
            } else {
                Origin::Host
            };
            if let Some(slot) = table.insert(stream(), origin, State::Established, key(n)) {
                table.link(slot);
                windows
                    .push(usize::try_from(table.get_mut(slot).unwrap().credit().window()).unwrap());
            }
        }
        assert_eq!(table.len(), MAX_CONNECTIONS);
        assert_eq!(windows[0], MAX_WINDOW);
        assert!(
            windows
                .iter()
                .all(|w| (MIN_WINDOW..=MAX_WINDOW).contains(w))
        );
        assert!(windows.iter().sum::<usize>() <= MAX_BUFFERED);
    }

    #[test]
    fn a_guest_leaves_room_for_the_host() {
        let mut table = Table::default();
        let opened = (0..MAX_CONNECTIONS)
            .filter(|&n| {
                table
                    .insert(stream(), Origin::Guest, State::Established, key(n))
                    .is_some()
            })
            .count();
        assert_eq!(opened, MAX_FROM_GUEST);
        assert!(
            table
                .insert(stream(), Origin::Host, State::Handshake, key(0))
                .is_some()
        );
    }

    #[test]
    fn a_draining_connection_makes_room() {
        let mut table = Table::default();
        let first = table
            .insert(stream(), Origin::Guest, State::Established, key(0))
            .unwrap();
        for n in 1..MAX_FROM_GUEST {
            table
                .insert(stream(), Origin::Guest, State::Established, key(n))
                .unwrap();
        }
        let next = key(MAX_FROM_GUEST);
        assert!(
            table
                .insert(stream(), Origin::Guest, State::Established, next)
                .is_none()
        );
        table.get_mut(first).unwrap().state = State::Draining;
        assert!(
            table
                .insert(stream(), Origin::Guest, State::Established, next)
                .is_some()
        );
    }

    #[test]
    fn an_old_token_does_not_find_the_new_connection() {
        let mut table = Table::default();
        let slot = table
            .insert(stream(), Origin::Host, State::Handshake, key(0))
            .unwrap();
        let old = table.token(slot);
        assert_eq!(table.by_token(old.raw()), Some(slot));
        table.remove(slot);
        assert_eq!(table.by_token(old.raw()), None);
        let again = table
            .insert(stream(), Origin::Host, State::Handshake, key(0))
            .unwrap();
        assert_eq!(again, slot);
        assert_eq!(table.by_token(old.raw()), None);
        assert_eq!(table.by_token(table.token(again).raw()), Some(again));
        for raw in 0..Token::FIRST {
            assert_eq!(table.by_token(raw), None);
        }
    }
}
