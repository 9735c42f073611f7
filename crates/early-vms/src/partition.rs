// SPDX-License-Identifier: Apache-2.0
//! The partitions that may have early VMs, and which of them an executable is on.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Component, Path};

use crate::root::Root;
use crate::{Error, apex};

/// A partition that may have early VMs. It decides the lists and the CIDs that its clients may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Partition {
    /// `/system`.
    System,
    /// `/system_ext`, which may be a directory of `/system`.
    SystemExt,
    /// `/product`, which may be a directory of `/system`.
    Product,
    /// `/vendor`.
    Vendor,
    /// `/odm`.
    Odm,
}

impl Partition {
    /// All of them, in the order of their CIDs.
    pub const ALL: [Self; 5] = [
        Self::System,
        Self::SystemExt,
        Self::Product,
        Self::Vendor,
        Self::Odm,
    ];

    /// The partition's name, which is that of its directory.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::SystemExt => "system_ext",
            Self::Product => "product",
            Self::Vendor => "vendor",
            Self::Odm => "odm",
        }
    }

    /// The static CIDs of its VMs.
    #[must_use]
    pub const fn cids(self) -> RangeInclusive<u32> {
        match self {
            Self::System => 100..=199,
            Self::SystemExt | Self::Product => 200..=299,
            Self::Vendor | Self::Odm => 300..=399,
        }
    }

    /// The partitions whose VMs share this one's CIDs, itself included.
    pub fn sharing_cids(self) -> impl Iterator<Item = Self> {
        Self::ALL
            .into_iter()
            .filter(move |other| other.cids() == self.cids())
    }

    /// Whether it is one of the vendor's.
    #[must_use]
    pub const fn is_vendor(self) -> bool {
        matches!(self, Self::Vendor | Self::Odm)
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|partition| partition.name() == name)
    }

    /// The partition of the executable at `path`, which is absolute as seen in the directory `root`.
    ///
    /// The first component decides, except that `/system/system_ext`, `/system/product`,
    /// `/mnt/product` and `/mnt/vendor` count as the partitions that they carry, that
    /// `/data/nativetest{,64}/vendor` counts as vendor, and that for `/apex/NAME` the APEX's entry
    /// in `/apex/apex-info-list.xml` decides.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for any other partition, [`Error::NotAbsolute`], [`Error::Root`], and
    /// those that begin with `Apex`.
    pub fn of_executable(path: &Path, root: &Path) -> Result<Self, Error> {
        Self::of(path, &Root::open(root)?)
    }

    pub(crate) fn of(path: &Path, root: &Root) -> Result<Self, Error> {
        let not_absolute = || Error::NotAbsolute {
            path: path.to_owned(),
        };
        let unsupported = |place: &str| Error::Unsupported {
            place: place.to_owned(),
            path: path.to_owned(),
        };

        let mut components = path.components();
        if components.next() != Some(Component::RootDir) {
            return Err(not_absolute());
        }
        let names = components
            .map(|component| match component {
                Component::Normal(name) => Ok(name.to_string_lossy()),
                _ => Err(not_absolute()),
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();

        // The last component is the executable itself, so it never names a partition.
        match names.as_slice() {
            ["system", "system_ext", _, ..] => Ok(Self::SystemExt),
            ["system" | "mnt", "product", _, ..] => Ok(Self::Product),
            ["mnt", "vendor", _, ..] | ["data", "nativetest" | "nativetest64", "vendor", _, ..] => {
                Ok(Self::Vendor)
            }
            ["apex", module, _, ..] => apex::partition_of(module, root),
            [first, _, ..] => Self::named(first).ok_or_else(|| unsupported(first)),
            [only] => Err(unsupported(only)),
            [] => Err(unsupported("/")),
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_belong_to_partitions() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("apex")).unwrap();
        std::fs::write(
            root.path().join("apex/apex-info-list.xml"),
            "<apex-info-list>\
             <apex-info moduleName='com.a' isActive='false' partition='SYSTEM'/>\
             <apex-info moduleName='com.a' isActive='true' partition='VENDOR'/>\
             <apex-info moduleName='com.data' isActive='true' partition='DATA'/>\
             <apex-info moduleName='com.none' isActive='true'/></apex-info-list>",
        )
        .unwrap();
        let of = |path: &str| Partition::of_executable(Path::new(path), root.path());
        for (path, partition) in [
            ("/system/bin/x", Partition::System),
            ("/system/system_ext/bin/x", Partition::SystemExt),
            ("/system_ext/bin/x", Partition::SystemExt),
            ("/system/product/bin/x", Partition::Product),
            ("/mnt/product/bin/x", Partition::Product),
            ("/product/x", Partition::Product),
            ("/mnt/vendor/x", Partition::Vendor),
            ("/vendor/bin/x", Partition::Vendor),
            ("/data/nativetest/vendor/x", Partition::Vendor),
            ("/data/nativetest64/vendor/t/x", Partition::Vendor),
            ("/odm/bin/x", Partition::Odm),
            ("/apex/com.a/bin/x", Partition::Vendor),
        ] {
            assert_eq!(of(path).unwrap(), partition, "{path}");
        }
        for (path, part) in [
            ("/data/local/tmp/x", "Early VMs are not supported for data"),
            ("/data/nativetest/x", "not supported for data"),
            ("/mnt/x", "not supported for mnt"),
            ("/system", "not supported for system"),
            ("/", "not supported for /"),
            ("/usr/bin/x", "not supported for usr"),
            ("/apex/com.data/bin/x", "not supported for data"),
            ("/apex/com.none/bin/x", "no attribute 'partition'"),
            ("/apex/com.gone/bin/x", "has no active APEX 'com.gone'"),
        ] {
            let error = of(path).unwrap_err().to_string();
            assert!(error.contains(part), "{path}: {error}");
        }
    }
}
