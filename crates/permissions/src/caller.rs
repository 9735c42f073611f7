// SPDX-License-Identifier: Apache-2.0
//! The caller of a permission check, and its groups.

use std::io;
use std::path::Path;

/// A process that asks for something, as the kernel vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The effective user.
    pub uid: u32,
    /// The process.
    pub pid: i32,
}

/// Why a caller's groups are not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallerError {
    /// The process cannot be looked at.
    #[error("cannot read the groups of process {pid}")]
    Read {
        /// The process.
        pid: i32,
        /// The system error.
        source: io::Error,
    },
    /// The process number has been given to another user's process since.
    #[error("process {pid} does not belong to user {uid} any more")]
    Other {
        /// The process.
        pid: i32,
        /// The user it should be of.
        uid: u32,
    },
}

impl Caller {
    /// This process.
    #[must_use]
    pub fn this_process() -> Self {
        Self {
            uid: rustix::process::geteuid().as_raw(),
            pid: rustix::process::getpid().as_raw_nonzero().get(),
        }
    }

    /// The effective group and the supplementary ones.
    ///
    /// The kernel has vouched for the pair of user and process when the connection or transaction was
    /// made; the user is compared again, so that a process that has taken over the number since lends
    /// its groups to no one else's request.
    ///
    /// # Errors
    /// If the process is gone, or is not one of this user any more.
    pub fn groups(&self) -> Result<Vec<u32>, CallerError> {
        let path = Path::new("/proc").join(self.pid.to_string()).join("status");
        let status = std::fs::read_to_string(path).map_err(|source| CallerError::Read {
            pid: self.pid,
            source,
        })?;
        let (uid, groups) = parse(&status).ok_or_else(|| CallerError::Read {
            pid: self.pid,
            source: io::Error::new(io::ErrorKind::InvalidData, "no lines Uid, Gid and Groups"),
        })?;
        if uid != self.uid {
            return Err(CallerError::Other {
                pid: self.pid,
                uid: self.uid,
            });
        }
        Ok(groups)
    }
}

/// The effective user, and all groups, of a `/proc/PID/status` (see `proc(5)`).
fn parse(status: &str) -> Option<(u32, Vec<u32>)> {
    let line = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_ascii_whitespace()
            .map(str::parse)
            .collect::<Result<Vec<u32>, _>>()
            .ok()
    };
    // Real, effective, saved, file system.
    let uid = *line("Uid:")?.get(1)?;
    let mut groups = vec![*line("Gid:")?.get(1)?];
    groups.extend(line("Groups:")?);
    Some((uid, groups))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_this_process() {
        let me = Caller::this_process();
        let groups = me.groups().unwrap();
        assert_eq!(groups[0], rustix::process::getegid().as_raw());
        for group in rustix::process::getgroups().unwrap() {
            assert!(groups.contains(&group.as_raw()));
        }
        let other = Caller {
            uid: me.uid + 1,
            ..me
        };
        assert!(matches!(other.groups(), Err(CallerError::Other { .. })));
        let gone = Caller {
            pid: i32::MAX,
            ..me
        };
        assert!(matches!(gone.groups(), Err(CallerError::Read { .. })));
    }

    #[test]
    fn lines_of_a_status() {
        let status = "Name:\tx\nUid:\t1\t1000\t3\t4\nGid:\t5\t100\t7\t8\nGroups:\t27 998 \n";
        assert_eq!(parse(status), Some((1000, vec![100, 27, 998])));
        let status = "Uid:\t1\t1000\t3\t4\nGid:\t5\t100\t7\t8\nGroups:\t\n";
        assert_eq!(parse(status), Some((1000, vec![100])));
        assert_eq!(parse("Uid:\t1\t1000\t3\t4\n"), None);
        assert_eq!(parse("Uid:\t1\nGid:\t1\t1\nGroups:\t\n"), None);
        assert_eq!(parse("Uid:\t1\tx\t1\t1\nGid:\t1\t1\nGroups:\t\n"), None);
    }
}
