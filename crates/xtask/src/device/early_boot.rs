// SPDX-License-Identifier: Apache-2.0
//! A boot before `/data`: the device with a root that is one read-only image, in which there is the
//! demo, its VMM and an init, and nothing else.

use super::machine::{last_lines, qemu, wait};
use super::{Device, MODULES};
use crate::initrd::Archive;
use crate::modules::Tree;
use crate::steps::{output, run as run_program, say};
use crate::workspace::Arch;
use crate::{dist, files, steps};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The drivers that a system for early VMs has: its root's, and what VMs need. erofs asks for its
/// checksums by name, which no module's list of dependencies shows.
const DRIVERS: [&str; 6] = [
    "virtio_blk",
    "crc32c_generic",
    "erofs",
    "kvm_amd",
    "kvm_intel",
    "vhost_vsock",
];
/// The image's init.
const INIT: &str = "/system/bin/vm_demo_init";
/// Directories that the init mounts something on.
const PLACES: [&str; 6] = ["proc", "sys", "dev", "mnt", "run", "usr/share"];
/// What QEMU reads when it starts a PC with KVM and a kernel: its firmware.
const FIRMWARE: [&str; 4] = [
    "bios-256k.bin",
    "kvmvapic.bin",
    "linuxboot_dma.bin",
    "pvh.bin",
];
/// Where Debian's QEMU looks for it.
const FIRMWARE_PLACES: [&str; 2] = ["/usr/share/qemu", "/usr/share/seabios"];
/// How long it may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(600);
/// No self tests, which take an emulated CPU a while; and one CPU: when the first VM comes, the kernel
/// patches code that another CPU may be running, which QEMU's emulation does not survive every time.
const PARAMS: &str =
    "console=ttyS0 loglevel=4 panic=-1 cryptomgr.notests noreplace-smp mitigations=off maxcpus=1";

/// What the console must say.
const EXPECTED: [&str; 5] = [
    "The answer from VM is 30",
    "vm_demo_init: client: Uid: 1000 1000 1000 1000",
    // IPC_LOCK, NET_BIND_SERVICE, SYS_RESOURCE and SYS_NICE: bits 14, 10, 24 and 23.
    "vm_demo_init: client: CapPrm: 0000000001804400",
    "vm_demo_init: client: CapBnd: 0000000001804400",
    "client ended with status 0",
];

/// Boots the image and checks what its console says.
pub(super) fn run(device: &Device) -> Result<()> {
    let image = image(device)?;
    let initrd = device.directory().join("early-initrd.img");
    files::write(&initrd, &first_stage(device)?)?;
    let console = device.directory().join("early-console.log");
    let mut command = qemu(device.kernel(), &initrd, &console, PARAMS);
    command
        .arg("-drive")
        .arg(format!(
            "if=none,id=root,format=raw,readonly=on,file={}",
            image.display()
        ))
        .args(["-device", "virtio-blk-pci,drive=root"]);
    let mut child = command
        .spawn()
        .with_context(|| format!("start {}", steps::line(&command)))?;
    let ended = wait(&mut child, PATIENCE);
    let text = fs::read(&console).with_context(|| format!("read {}", console.display()))?;
    let text = String::from_utf8_lossy(&text).replace('\r', "");
    say!("{}", last_lines(&text));
    ended?;
    for wanted in EXPECTED {
        ensure!(
            text.contains(wanted),
            "the console does not say \"{wanted}\"; all of it is in {}",
            console.display()
        );
    }
    for line in text.lines().filter(|line| line.contains(" / ")) {
        ensure!(
            !line.starts_with("/dev/vda") || line.contains(" erofs ro"),
            "the root can be written to: {line}"
        );
    }
    ensure!(!text.contains(" /data "), "there is a /data");
    Ok(())
}

/// An initramfs that only finds the image.
fn first_stage(device: &Device) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for dir in ["dev", "lib", "lib/modules", "proc", "sys", "device"] {
        archive.dir(dir);
    }
    archive.devices();
    archive.program("init", &device.init)?;
    archive.file("device/image", INIT.as_bytes().to_vec());
    let first = MODULES.iter().filter(|name| name.starts_with("virtio"));
    let wanted: Vec<_> = first.chain(&DRIVERS).copied().collect();
    archive.boot_modules(&Tree::read(device.modules())?, &wanted)?;
    archive.pack()
}

/// Makes the image.
fn image(device: &Device) -> Result<PathBuf> {
    let root = device.directory().join("early-root");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("remove {}", root.display()))?;
    }
    for place in PLACES {
        files::make_dir(&root.join(place))?;
    }
    let dist = device.workspace.dist();
    for (from, to) in [
        (dist.join("root/system/etc/avf"), "system/etc"),
        (dist.join(dist::DEMO), "system/bin"),
        (dist.join("early_virtmgr"), "system/bin"),
        (dist.join("vm_demo_init"), "system/bin"),
    ] {
        let to = root.join(to);
        files::make_dir(&to)?;
        run_program(Command::new("cp").args(["-rL", "--"]).arg(from).arg(to))?;
    }
    for file in vmm_files()? {
        let to = root.join(file.strip_prefix("/").context("an absolute path")?);
        files::make_dir(to.parent().context("a file's directory")?)?;
        fs::copy(&file, &to).with_context(|| format!("copy {}", file.display()))?;
    }
    let image = device.directory().join("early.erofs");
    run_program(
        Command::new("mkfs.erofs")
            .args(["--quiet", "--all-root", "-T0"])
            .arg(&image)
            .arg(&root),
    )?;
    Ok(image)
}

/// QEMU, its libraries and its firmware.
fn vmm_files() -> Result<Vec<PathBuf>> {
    let qemu = Path::new("/usr/bin").join(Arch::host()?.qemu);
    let libraries = output(Command::new("ldd").arg(&qemu))?;
    let mut files = libraries_of(&libraries);
    files.push(qemu);
    for name in FIRMWARE {
        let mut places = FIRMWARE_PLACES
            .iter()
            .map(|place| Path::new(place).join(name));
        let found = places.find(|path| path.exists());
        files.push(found.with_context(|| format!("QEMU's firmware {name} is missing"))?);
    }
    Ok(files)
}

/// The files that `ldd` prints: after the arrow, or the loader alone.
fn libraries_of(text: &str) -> Vec<PathBuf> {
    text.lines()
        .filter_map(|line| {
            let path = line.split_once("=> ").map_or(line, |(_, path)| path);
            let path = path.split_whitespace().next()?;
            path.starts_with('/').then(|| PathBuf::from(path))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x7f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        assert_eq!(
            libraries_of(text),
            [
                PathBuf::from("/lib/x86_64-linux-gnu/libz.so.1"),
                PathBuf::from("/lib64/ld-linux-x86-64.so.2")
            ]
        );
    }
}
