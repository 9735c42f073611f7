// SPDX-License-Identifier: Apache-2.0
//! Binding on a directory tree, with the kernel's part played here: a write to `unbind` takes the
//! device's link `driver` away, one to `drivers_probe` makes it again as `driver_override` says.

use super::*;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

struct Played {
    root: PathBuf,
    /// A device that `vfio-platform` does not take.
    refuses: Option<&'static str>,
    written: Arc<Mutex<Vec<String>>>,
}

impl Sysfs for Played {
    fn write(&self, file: &Path, text: &str) -> io::Result<()> {
        Kernel.write(file, text)?;
        // A file of the kernel has what was written last, and nothing of what was before.
        fs::write(file, text)?;
        let devices = self.root.join("sys/devices");
        let short = file.strip_prefix(&self.root).unwrap().display().to_string();
        self.written
            .lock()
            .unwrap()
            .push(format!("{short}={}", text.trim()));
        match file.file_name().unwrap().to_str().unwrap() {
            "unbind" => fs::remove_file(devices.join(text).join("driver"))?,
            "drivers_probe" => {
                let device = devices.join(text);
                let only = fs::read_to_string(device.join("driver_override"))?;
                let only = only.trim();
                let driver = if only.is_empty() { "own" } else { only };
                if !(driver == DRIVER && self.refuses == Some(text)) {
                    symlink(
                        self.root.join("sys/bus/platform/drivers").join(driver),
                        device.join("driver"),
                    )?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Devices a and b with an IOMMU, c without; a and c have a driver, b has none.
fn tree() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path);
    for path in [
        "dev/vfio",
        "vendor/etc/avf",
        "sys/bus/platform/drivers/vfio-platform",
        "sys/bus/platform/drivers/own",
        "sys/bus/platform/devices",
        "sys/devices/a/iommu_group",
        "sys/devices/b/iommu_group",
        "sys/devices/c",
    ] {
        fs::create_dir_all(at(path)).unwrap();
    }
    for file in [
        "dev/vfio/vfio",
        "sys/bus/platform/drivers_probe",
        "sys/bus/platform/drivers/own/unbind",
        "sys/bus/platform/drivers/vfio-platform/unbind",
    ] {
        fs::write(at(file), "").unwrap();
    }
    let mut list = "<devices>".to_owned();
    for device in ["a", "b", "c"] {
        fs::write(
            at("sys/devices").join(device).join("driver_override"),
            "(null)\n",
        )
        .unwrap();
        symlink(
            format!("../../../devices/{device}"),
            at("sys/bus/platform/devices").join(device),
        )
        .unwrap();
        if device != "b" {
            symlink(
                at("sys/bus/platform/drivers/own"),
                at("sys/devices").join(device).join("driver"),
            )
            .unwrap();
        }
        list.push_str(&format!(
            r#"<device kind="x" dtbo_label="label_{device}" sysfs_path="{}"/>"#,
            sysfs(device)
        ));
    }
    fs::write(
        at("vendor/etc/avf/assignable_devices.xml"),
        list + "</devices>",
    )
    .unwrap();
    root
}

fn sysfs(device: &str) -> String {
    format!("/sys/bus/platform/devices/{device}")
}

fn vfio(root: &TempDir, refuses: Option<&'static str>) -> (Arc<Vfio>, Arc<Mutex<Vec<String>>>) {
    let written = Arc::default();
    // As the links in it are resolved.
    let path = fs::canonicalize(root.path()).unwrap();
    let played = Played {
        root: path.clone(),
        refuses,
        written: Arc::clone(&written),
    };
    (Vfio::new(&path, played), written)
}

fn driver_of(root: &TempDir, device: &str) -> Option<String> {
    driver(&root.path().join("sys/devices").join(device))
}

#[test]
fn bound_and_given_back() {
    let root = tree();
    let (vfio, written) = vfio(&root, None);
    let bound = vfio.bind(&[sysfs("a"), sysfs("b")]).unwrap();
    for (device, name) in bound.iter().zip(["a", "b"]) {
        assert_eq!(device.device().sysfs_path, sysfs(name));
        assert_eq!(device.device().dtbo_label, format!("label_{name}"));
        assert_eq!(driver_of(&root, name).as_deref(), Some(DRIVER));
    }
    assert_eq!(
        *written.lock().unwrap(),
        [
            "sys/devices/a/driver_override=vfio-platform",
            "sys/devices/a/driver/unbind=a",
            "sys/bus/platform/drivers_probe=a",
            "sys/devices/b/driver_override=vfio-platform",
            "sys/bus/platform/drivers_probe=b",
        ]
    );
    let error = vfio.bind(&[sysfs("a")]).err().unwrap();
    assert!(matches!(error, Error::InUse(_)), "{error}");
    drop(bound);
    assert_eq!(driver_of(&root, "a").as_deref(), Some("own"));
    let text = fs::read_to_string(root.path().join("sys/devices/a/driver_override")).unwrap();
    assert_eq!(text, "\n");
    // And it can be assigned again.
    assert_eq!(vfio.bind(&[sysfs("a")]).unwrap().len(), 1);
}

#[test]
fn all_or_none() {
    for (second, refuses) in [("c", None), ("b", Some("b")), ("a", None)] {
        let root = tree();
        let (vfio, _) = vfio(&root, refuses);
        let error = vfio.bind(&[sysfs("a"), sysfs(second)]).err().unwrap();
        match second {
            "c" => assert!(matches!(error, Error::NoIommu(_)), "{error}"),
            "b" => assert!(matches!(error, Error::NotTaken { by: None, .. }), "{error}"),
            _ => assert!(matches!(error, Error::InUse(_)), "{error}"),
        }
        assert_eq!(driver_of(&root, "a").as_deref(), Some("own"), "{second}");
        assert!(vfio.bound().is_empty());
    }
}

#[test]
fn only_what_the_list_has_and_the_kernel_can() {
    let root = tree();
    let (vfio, written) = vfio(&root, None);
    assert!(vfio.bind(&[]).unwrap().is_empty());
    for path in [
        "",
        "/sys/devices/a",
        "/sys/bus/platform/devices/../devices/a",
        "a\n",
    ] {
        let error = vfio.bind(&[path.to_owned()]).err().unwrap();
        assert!(
            matches!(error, Error::NotAssignable(_)),
            "{path:?}: {error}"
        );
    }
    assert_eq!(vfio.assignable().unwrap().len(), 3);
    fs::remove_file(root.path().join("dev/vfio/vfio")).unwrap();
    let error = vfio.bind(&[sysfs("a")]).err().unwrap();
    assert!(
        error.to_string().contains("modprobe vfio-platform"),
        "{error}"
    );
    assert!(written.lock().unwrap().is_empty());
}
