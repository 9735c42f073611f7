// SPDX-License-Identifier: Apache-2.0
//! The device's root: the host's file system, which cannot be written to, with a layer of memory
//! above it, which can.

use super::{Failure, Orders, failed};
use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind, mount_change, mount_move,
};
use std::ffi::CString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The tag under which the host shares its file system.
const TAG: &str = "host";
/// Where it is before the layers are put together.
const HOST: &str = "/host";
/// The layer of memory, with the directories that overlayfs wants.
const MEMORY: &str = "/memory";
const UPPER: &str = "/memory/upper";
const WORK: &str = "/memory/work";
/// Both together.
const ROOT: &str = "/root";

/// What only the kernel can say: type, directory, options.
const PSEUDO: [(&str, &str, &str); 6] = [
    ("proc", "proc", ""),
    ("sysfs", "sys", ""),
    ("devtmpfs", "dev", "mode=0755"),
    ("devpts", "dev/pts", "mode=0620,ptmxmode=0666"),
    ("tmpfs", "dev/shm", "mode=1777"),
    ("cgroup2", "sys/fs/cgroup", ""),
];
/// What is the device's own and begins empty.
const EMPTY: [(&str, &str); 2] = [("run", "mode=0755"), ("tmp", "mode=1777")];

fn dir(path: impl AsRef<Path>) -> Result<(), Failure> {
    let path = path.as_ref();
    std::fs::create_dir_all(path).map_err(|e| failed(format!("make {}", path.display()), &e))
}

fn add(kind: &str, place: &str, flags: MountFlags, options: &str) -> Result<(), Failure> {
    dir(place)?;
    let text = CString::new(options).map_err(|e| failed("mount options", &e))?;
    mount(kind, place, kind, flags, &*text)
        .map_err(|e| failed(format!("mount {kind} on {place}"), &e))
}

/// What loading modules needs.
pub(super) fn first_file_systems() -> Result<(), Failure> {
    add("devtmpfs", "/dev", MountFlags::empty(), "mode=0755")?;
    add("proc", "/proc", MountFlags::empty(), "")?;
    add("sysfs", "/sys", MountFlags::empty(), "")
}

/// Makes the host's file system this one's root, and the directory of `orders` visible in it.
pub(super) fn switch(orders: &Orders) -> Result<(), Failure> {
    dir(HOST)?;
    // The host's files do not change while the device runs, or only those that it does not read.
    let options = c"trans=virtio,version=9p2000.L,msize=524288,cache=loose";
    mount(TAG, HOST, "9p", MountFlags::RDONLY, options)
        .map_err(|e| failed("mount the host's file system", &e))?;
    add("tmpfs", MEMORY, MountFlags::empty(), "mode=0755,size=75%")?;
    dir(UPPER)?;
    dir(WORK)?;
    let layers = format!("lowerdir={HOST},upperdir={UPPER},workdir={WORK}");
    add("overlay", ROOT, MountFlags::empty(), &layers)?;
    for (kind, place, options) in PSEUDO {
        add(
            kind,
            &format!("{ROOT}/{place}"),
            MountFlags::empty(),
            options,
        )?;
    }
    for (place, options) in EMPTY {
        let kept = [&orders.directory, &orders.modules];
        let place = format!("/{place}");
        // Where the work is there, it stays in sight.
        if !kept
            .iter()
            .any(|path| Path::new(path.as_str()).starts_with(&place))
        {
            add(
                "tmpfs",
                &format!("{ROOT}{place}"),
                MountFlags::empty(),
                options,
            )?;
        }
    }
    let release = rustix::system::uname();
    let modules = format!("{ROOT}/lib/modules/{}", release.release().to_string_lossy());
    dir(&modules)?;
    let from = format!("{HOST}{}", orders.modules);
    mount_bind(&from, &modules).map_err(|e| failed(format!("bind {from}"), &e))?;
    enter()
}

/// The disk with the image.
const DISK: &str = "/dev/vda";
/// How long the disk may take to appear, at most.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the image on the first disk the root, and its program `init` process 1. Returns only if
/// that fails.
pub(super) fn image(init: &str) -> Result<(), Failure> {
    let end = Instant::now() + TIMEOUT;
    while !Path::new(DISK).exists() {
        if Instant::now() > end {
            return Err(failed("find the image", &DISK));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    dir(ROOT)?;
    mount(DISK, ROOT, "erofs", MountFlags::RDONLY, c"")
        .map_err(|e| failed("mount the image", &e))?;
    enter()?;
    Err(failed(
        format!("execute {init}"),
        &Command::new(init).env_clear().exec(),
    ))
}

/// Leaves the initramfs behind.
fn enter() -> Result<(), Failure> {
    let step = |what: &'static str| move |e: rustix::io::Errno| failed(what, &e);
    mount_change("/", MountPropagationFlags::PRIVATE).map_err(step("make mounts private"))?;
    std::env::set_current_dir(ROOT).map_err(|e| failed("enter the root", &e))?;
    mount_move(".", "/").map_err(step("move the root"))?;
    rustix::process::chroot(".").map_err(step("change the root"))?;
    std::env::set_current_dir("/").map_err(|e| failed("enter the root", &e))
}
