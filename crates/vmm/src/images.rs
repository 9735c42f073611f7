// SPDX-License-Identifier: Apache-2.0
//! Disk images: opened with the access that the guest gets, examined, and locked.
//!
//! One rule holds for every kind of disk under every VMM: a file that one VM may write to is used
//! by no other VM, and any number of VMs may share files that none of them may write to. The lock
//! is that of flock(2), exclusive or shared, on the open file that the VMM or the disk's server
//! gets. So it is held from the VM's creation until the last process of the VM has ended, whatever
//! the client does with its own descriptor.

use crate::Error;
use composite_disk::Image;
use rustix::fs::{FlockOperation, fstat, major, minor};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::error::Error as StdError;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Who has locked a file, if that is known to be a VM of this process.
const OTHER_VM: &str = "another VM of this client";
/// The locks of all processes, as the kernel shows them.
const LOCKS: &str = "/proc/locks";

/// An image that is ready to be given to a VM.
#[derive(Debug)]
pub(crate) struct OpenImage {
    /// The file, with exactly the access that is needed.
    pub(crate) file: File,
    /// Its format.
    pub(crate) kind: Image,
    /// Bytes, as the guest sees them.
    pub(crate) size: u64,
}

/// How long a lock may be waited for. Some are held for a moment only: by udev, which probes a block
/// device, or by a process that is just being started and has a copy of each descriptor until then.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a lock is tried.
const STEP: Duration = Duration::from_millis(50);

/// The images of one VM.
#[derive(Debug, Default)]
pub(crate) struct Images {
    taken: Vec<Taken>,
    holds: Vec<Hold>,
}

/// A file that the VM has already.
#[derive(Debug)]
struct Taken {
    id: FileId,
    writable: bool,
    field: String,
}

/// What tells a file from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(file: &File) -> rustix::io::Result<Self> {
        let stat = fstat(file)?;
        Ok(Self {
            device: stat.st_dev,
            inode: stat.st_ino,
        })
    }
}

/// An error about a file that the client gave.
pub(crate) fn invalid<E>(field: impl Into<String>) -> impl FnOnce(E) -> Error
where
    E: StdError + Send + Sync + 'static,
{
    let field = field.into();
    move |source| Error::InvalidFile {
        field,
        source: Box::new(source),
    }
}

impl Images {
    /// Opens and locks `image` for the VM; `field` names it in errors.
    pub(crate) fn open(
        &mut self,
        image: &File,
        writable: bool,
        field: &str,
    ) -> Result<OpenImage, Error> {
        let (file, is_own) = composite_disk::open_own(image, writable).map_err(invalid(field))?;
        let kind = Image::detect(&file).map_err(invalid(field))?;
        let size = kind.size(writable).map_err(invalid(field))?;
        self.lock(&file, is_own, writable, field)?;
        Ok(OpenImage { file, kind, size })
    }

    /// What must live as long as the VM does: the record of what it holds. The system may forbid
    /// opening a client's file again, and a lock on the client's own open file outlasts the VM unless
    /// it is removed.
    pub(crate) fn into_helper(self) -> Option<Box<dyn Send>> {
        let is_needed = !self.holds.is_empty();
        is_needed.then(|| Box::new(self.holds) as Box<dyn Send>)
    }

    fn lock(
        &mut self,
        file: &File,
        is_own: bool,
        writable: bool,
        field: &str,
    ) -> Result<(), Error> {
        let id =
            FileId::of(file).map_err(|e| Error::io(format!("{field}: cannot examine it"), e))?;
        let other = self
            .taken
            .iter()
            .find(|taken| taken.id == id && (taken.writable || writable));
        if let Some(other) = other {
            return Err(Error::SameImage {
                field: field.to_owned(),
                file: name_of(file),
                other: other.field.clone(),
            });
        }
        let operation = if writable {
            FlockOperation::NonBlockingLockExclusive
        } else {
            FlockOperation::NonBlockingLockShared
        };
        let in_use = |holder| Error::ImageInUse {
            field: field.to_owned(),
            file: name_of(file),
            purpose: if writable { "writing" } else { "reading" },
            holder,
        };
        if !is_own {
            let file = file.try_clone();
            let file = file.map_err(|e| Error::io(format!("{field}: cannot duplicate it"), e))?;
            // From now on, whatever fails, the lock is removed.
            let hold = Hold::borrow(id, writable, file);
            self.holds
                .push(hold.ok_or_else(|| in_use(OTHER_VM.into()))?);
        }
        let end = Instant::now() + PATIENCE;
        let locked = loop {
            match rustix::io::retry_on_intr(|| rustix::fs::flock(file, operation)) {
                Err(Errno::WOULDBLOCK) if is_own && Held::conflicts(id, writable) => {
                    return Err(in_use(OTHER_VM.into()));
                }
                Err(Errno::WOULDBLOCK) if end <= Instant::now() => return Err(in_use(holder(id))),
                Err(Errno::WOULDBLOCK) => std::thread::sleep(STEP),
                locked => break locked,
            }
        };
        match locked {
            Ok(()) => {}
            // A file system without locks, such as some network file systems.
            Err(e) => log::warn!(
                "{field}: cannot lock '{}': {}; make sure that no other VM uses it",
                name_of(file),
                std::io::Error::from(e)
            ),
        }
        if is_own {
            self.holds
                .push(Hold::new(&mut Held::all(), id, writable, None));
        }
        self.taken.push(Taken {
            id,
            writable,
            field: field.to_owned(),
        });
        Ok(())
    }
}

/// The files that VMs of this process hold.
static HELD: Mutex<Vec<Held>> = Mutex::new(Vec::new());

/// A file that a VM holds.
#[derive(Debug)]
struct Held {
    /// Of the VM's [`Hold`].
    number: u64,
    id: FileId,
    writable: bool,
    /// An open file that belongs to the client as well: the lock must be removed from it.
    borrowed: Option<File>,
    /// Whether the VM has ended. Others may have borrowed the same open file, so the lock goes with
    /// the last.
    is_over: bool,
}

impl Held {
    fn all() -> MutexGuard<'static, Vec<Self>> {
        HELD.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a VM holds the file in a way that forbids this use.
    fn conflicts(id: FileId, writable: bool) -> bool {
        Self::all().iter().any(|held| held.forbids(id, writable))
    }

    fn forbids(&self, id: FileId, writable: bool) -> bool {
        self.id == id && !self.is_over && (self.writable || writable)
    }
}

/// One VM's hold of a file, for as long as it lives.
#[derive(Debug)]
struct Hold {
    number: u64,
    id: FileId,
}

impl Hold {
    /// A hold of an open file that belongs to the client as well, unless another VM's hold forbids
    /// it. That may be of the same open file, for which the kernel would not refuse the lock.
    fn borrow(id: FileId, writable: bool, file: File) -> Option<Self> {
        let mut all = Held::all();
        let is_free = !all.iter().any(|held| held.forbids(id, writable));
        is_free.then(|| Self::new(&mut all, id, writable, Some(file)))
    }

    fn new(all: &mut Vec<Held>, id: FileId, writable: bool, borrowed: Option<File>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        all.push(Held {
            number,
            id,
            writable,
            borrowed,
            is_over: false,
        });
        Self { number, id }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut all = Held::all();
        for held in all.iter_mut().filter(|held| held.number == self.number) {
            held.is_over = true;
        }
        let is_borrowed = |held: &Held| held.id == self.id && held.borrowed.is_some();
        if all.iter().any(|held| is_borrowed(held) && !held.is_over) {
            return;
        }
        all.retain(|held| {
            if held.id == self.id
                && held.is_over
                && let Some(file) = &held.borrowed
            {
                // It fails only where there are no locks.
                let _ = rustix::fs::flock(file, FlockOperation::Unlock);
            }
            held.id != self.id || !held.is_over
        });
    }
}

/// The path of an open file.
fn name_of(file: &File) -> String {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    match fs::read_link(link) {
        Ok(path) => path.to_string_lossy().escape_debug().to_string(),
        Err(_) => "the file".into(),
    }
}

/// The process that has locked a file, in words.
fn holder(id: FileId) -> String {
    let pid = fs::read_to_string(LOCKS)
        .ok()
        .and_then(|locks| holder_in(&locks, id));
    match pid {
        None => "another process".into(),
        Some(pid) if pid == std::process::id() => OTHER_VM.into(),
        Some(pid) => in_words(pid, fs::read_to_string(format!("/proc/{pid}/comm")).ok()),
    }
}

/// A process that has locked a file, and its name, if that may be read.
fn in_words(pid: u32, name: Option<String>) -> String {
    if let Some(name) = name {
        return format!("process {pid} ({})", name.trim_end().escape_debug());
    }
    let id = i32::try_from(pid).ok().and_then(Pid::from_raw);
    match id.map(test_kill_process) {
        Some(Err(Errno::SRCH)) | None => format!("a VM of process {pid}, which has ended"),
        // It lives, but the system hides its name.
        Some(_) => format!("process {pid}"),
    }
}

/// The process that has locked a file, in the kernel's list of locks.
fn holder_in(locks: &str, id: FileId) -> Option<u32> {
    let file = format!(
        "{:02x}:{:02x}:{}",
        major(id.device),
        minor(id.device),
        id.inode
    );
    locks.lines().find_map(|line| {
        // Number, type, mode, access, process, file, range. Lines of waiting processes have an arrow
        // in place of the type.
        let mut words = line.split_whitespace().skip(1);
        (words.next()? == "FLOCK").then_some(())?;
        let pid = words.nth(2)?.parse().ok()?;
        (words.next()? == file).then_some(pid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn image() -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4096).unwrap();
        file
    }

    #[test]
    fn one_writer_or_many_readers() {
        let file = image();
        for (first, second, both) in [
            (false, false, true),
            (false, true, false),
            (true, false, false),
            (true, true, false),
        ] {
            let mut images = Images::default();
            let held = images
                .open(file.as_file(), first, "disks[0].image")
                .unwrap();
            // One that this process itself refuses is not waited for.
            let id = FileId::of(file.as_file()).unwrap();
            assert_eq!(Held::conflicts(id, second), !both, "{first} {second}");
            let result = Images::default().open(file.as_file(), second, "disks[1].image");
            assert_eq!(result.is_ok(), both, "{first} {second}: {result:?}");
            if let Err(e) = &result {
                let purpose = if second { "writing" } else { "reading" };
                assert_eq!(
                    e.to_string(),
                    format!(
                        "disks[1].image: cannot lock '{}' for {purpose}: another VM of this client \
                         uses it; stop that VM, or give each VM a file of its own",
                        file.path().display()
                    )
                );
            }
            // The client's descriptor stays open; the locks go with ours.
            drop((held, result, images));
            expect_free(file.as_file());
        }
    }

    /// Another test may just be starting a program, which has a copy of each descriptor for a
    /// moment.
    fn expect_free(file: &File) {
        let end = Instant::now() + Duration::from_secs(60);
        while let Err(e) = Images::default().open(file, true, "disks[0].image") {
            assert!(Instant::now() < end, "{e}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn the_same_file_twice_in_one_vm() {
        let file = image();
        let mut images = Images::default();
        let _first = images
            .open(file.as_file(), false, "disks[0].image")
            .unwrap();
        let _second = images
            .open(file.as_file(), false, "disks[1].image")
            .unwrap();
        let error = images
            .open(file.as_file(), true, "disks[2] partition 'a'")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "disks[2] partition 'a': '{}' is also disks[0].image, and a writable file can be used \
                 only once; give each a file of its own",
                file.path().display()
            )
        );
    }

    #[test]
    fn another_process_is_named() {
        let file = image();
        let mut child = std::process::Command::new("flock")
            .args(["--shared", "--no-fork"])
            .arg(file.path())
            .args(["sh", "-c", "echo locked; exec cat"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0; 7];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        let error = Images::default()
            .open(file.as_file(), true, "disks[0].image")
            .unwrap_err();
        let text = error.to_string();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(
            text.contains(&format!("process {} (cat) uses it", child.id())),
            "{text}"
        );
    }

    #[test]
    fn a_lock_of_a_moment_is_waited_for() {
        let file = image();
        let other = File::open(file.path()).unwrap();
        rustix::fs::flock(&other, FlockOperation::LockExclusive).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(2 * STEP);
                rustix::fs::flock(&other, FlockOperation::Unlock).unwrap();
            });
            Images::default()
                .open(file.as_file(), true, "disks[0].image")
                .unwrap();
        });
    }

    /// As [`Images::open`] where the system forbids to open the client's file again.
    fn borrow(images: &mut Images, file: &File, writable: bool) -> Result<(), Error> {
        images.lock(file, false, writable, "disks[0].image")
    }

    fn is_free(path: &std::path::Path) -> bool {
        let file = File::open(path).unwrap();
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
    }

    #[test]
    fn a_lock_of_the_clients_own_file_goes_with_the_vm() {
        let file = image();
        let mut images = Images::default();
        borrow(&mut images, file.as_file(), true).unwrap();
        // The next disk fails, and the VM is not made.
        borrow(&mut images, file.as_file(), true).unwrap_err();
        assert!(!is_free(file.path()));
        drop(images);
        assert!(is_free(file.path()));

        let mut images = Images::default();
        borrow(&mut images, file.as_file(), true).unwrap();
        let error = borrow(&mut Images::default(), file.as_file(), true).unwrap_err();
        assert!(error.to_string().contains(OTHER_VM), "{error}");
        assert!(!is_free(file.path()), "the refused VM has removed the lock");
        let helper = images.into_helper();
        assert!(!is_free(file.path()));
        drop(helper);
        assert!(is_free(file.path()));
    }

    #[test]
    fn vms_that_read_from_one_descriptor_share_its_lock() {
        let file = image();
        let (mut first, mut second) = (Images::default(), Images::default());
        borrow(&mut first, file.as_file(), false).unwrap();
        borrow(&mut second, file.as_file(), false).unwrap();
        drop(first);
        assert!(!is_free(file.path()), "the second VM still reads it");
        drop(second);
        assert!(is_free(file.path()));
    }

    #[test]
    fn a_holder_whose_name_is_hidden_lives() {
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let pid = child.id();
        assert_eq!(in_words(pid, None), format!("process {pid}"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(
            in_words(pid, None),
            format!("a VM of process {pid}, which has ended")
        );
    }

    #[test]
    fn a_lock_is_found_in_the_list() {
        let file = image();
        let stat = file.as_file().metadata().unwrap();
        let id = FileId {
            device: stat.dev(),
            inode: stat.ino(),
        };
        let name = format!(
            "{:02x}:{:02x}:{}",
            major(stat.dev()),
            minor(stat.dev()),
            stat.ino()
        );
        let locks = format!(
            "1: POSIX  ADVISORY  READ 7 {name} 128 128\n\
             2: -> FLOCK  ADVISORY  WRITE 8 {name} 0 EOF\n\
             3: FLOCK  ADVISORY  WRITE 9 00:00:1 0 EOF\n\
             4: FLOCK  ADVISORY  READ 10 {name} 0 EOF\n"
        );
        assert_eq!(holder_in(&locks, id), Some(10));
        assert_eq!(holder_in("", id), None);
    }
}
