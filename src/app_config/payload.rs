// SPDX-License-Identifier: Apache-2.0
//! The payload disk: metadata, APEXes, the APK and its idsig, further APKs and theirs.

use super::{disk as disk_of, invalid, open, partition, required, unusable};
use crate::error::Error;
use crate::fd::sealed;
use avf_aidl::service::app_config::Payload;
use avf_aidl::service::{DiskImage, VirtualMachineAppConfig, VirtualMachinePayloadConfig};
use host::Host;
use microdroid::apex::{ApexInfo, ApexInfoList, Wanted, select};
use microdroid::metadata::{self, ApexPayload, ApkPayload, Metadata};
use microdroid::{
    APK_MOUNT, APK_PARTITION, ExtraApk, IDSIG_PARTITION, METADATA_PARTITION, PayloadConfig,
    apex_partition, archive, check_binary_name, extra_partitions,
};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io;
use std::path::Path;

/// The platform's list of APEXes.
const APEX_LIST: &str = "/apex/apex-info-list.xml";
/// The largest configuration in an APK.
const MAX_CONFIG: u64 = 1 << 20;
/// Most further APKs: each has two partitions, and a disk has 128.
const MAX_EXTRAS: usize = 32;

/// What this profile knows of the platform's Microdroid.
pub trait Platform {
    /// Completes `list` for a payload with this configuration.
    ///
    /// # Errors
    /// If the payload asks for what this profile cannot find out.
    fn complete(&self, list: &mut ApexInfoList, config: &PayloadConfig) -> Result<(), Error>;

    /// Which file of an APEX a VM gets.
    fn source(&self) -> microdroid::apex::Source;

    /// What the guest verifies the vendor's `image` by, in hexadecimal.
    ///
    /// # Errors
    /// If this profile gives no guest such an image, or it is unsound.
    fn vendor_digest(&self, image: &File) -> Result<String, Error>;
}

/// What a client says of its payload.
#[derive(Debug)]
pub(super) struct Config {
    /// What the guest has to run.
    entry: metadata::Payload,
    /// The configuration in the APK; the default if the client describes the payload itself.
    config: PayloadConfig,
    /// The further APKs.
    extras: Vec<File>,
}

impl Config {
    pub(super) fn of(app: &VirtualMachineAppConfig, host: &Host) -> Result<Self, Error> {
        let config = match &app.payload {
            Payload::ConfigPath(path) => Self::read(app, path, host)?,
            Payload::PayloadConfig(given) => Self::given(given)?,
        };
        let count = config.extras.len();
        if count != app.extraIdsigs.len() {
            return Err(invalid(format!(
                "extraIdsigs: there are {}, but {count} extra APKs; each needs one",
                app.extraIdsigs.len()
            )));
        }
        if count > MAX_EXTRAS {
            return Err(invalid(format!(
                "extra APKs: there are {count}, at most {MAX_EXTRAS} are possible"
            )));
        }
        Ok(config)
    }

    fn given(given: &VirtualMachinePayloadConfig) -> Result<Self, Error> {
        check_binary_name(&given.payloadBinaryName)
            .map_err(|e| invalid(format!("payload.payloadConfig: {e}")))?;
        let extras: Vec<File> = given
            .extraApks
            .iter()
            .map(|fd| open("payload.payloadConfig.extraApks", fd))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            entry: metadata::Payload::Config(metadata::PayloadConfig {
                payload_binary_name: given.payloadBinaryName.clone(),
                extra_apk_count: u32::try_from(extras.len()).unwrap_or(u32::MAX),
            }),
            config: PayloadConfig::default(),
            extras,
        })
    }

    fn read(app: &VirtualMachineAppConfig, path: &str, host: &Host) -> Result<Self, Error> {
        let apk = required("apk", app.apk.as_ref())?;
        let what = || format!("payload.configPath {path:?}");
        let mut json = Vec::new();
        archive::extract(&apk, path, MAX_CONFIG, &mut json).map_err(|e| unusable(what(), e))?;
        let config = PayloadConfig::parse(&json).map_err(|e| unusable(what(), e))?;
        let open_extra = |extra: &ExtraApk| {
            if !extra.path.starts_with('/') {
                let why = format!("extra APK {:?}: its path must be absolute", extra.path);
                return Err(unusable(what(), why));
            }
            let place = host.path(&extra.path);
            open_regular(&place)
                .map_err(|e| unusable(format!("{}: extra APK {}", what(), place.display()), e))
        };
        let extras = config
            .extra_apks
            .iter()
            .map(open_extra)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            entry: metadata::Payload::ConfigPath(format!("{APK_MOUNT}{path}")),
            config,
            extras,
        })
    }

    /// The operating system that the payload wants.
    pub(super) fn os_name(&self) -> Option<&str> {
        self.config.os.as_ref().map(|os| os.name.as_str())
    }

    pub(super) fn huge_pages(&self) -> bool {
        self.config.hugepages
    }
}

/// The payload disk.
pub(super) fn disk(
    app: &VirtualMachineAppConfig,
    config: Config,
    host: &Host,
    profile: &dyn Platform,
    is_debuggable: bool,
) -> Result<DiskImage, Error> {
    let list = list(host, profile, &config.config)?;
    let names: Vec<String> = config
        .config
        .apexes
        .into_iter()
        .map(|apex| apex.name)
        .collect();
    let wanted = Wanted {
        names: &names,
        is_debuggable,
        source: profile.source(),
    };
    let apexes = select(&list, wanted).map_err(|e| unusable("the payload's APEXes", e))?;
    let metadata = Metadata {
        version: metadata::VERSION,
        apexes: apexes
            .iter()
            .enumerate()
            .map(|(index, (apex, _))| described(index, apex))
            .collect(),
        apk: Some(ApkPayload {
            name: "apk".into(),
            payload_partition_name: APK_PARTITION.into(),
            idsig_partition_name: IDSIG_PARTITION.into(),
        }),
        payload: Some(config.entry),
    };
    let metadata = sealed("avf-payload-metadata", &metadata.to_partition())?;
    let mut partitions = vec![partition(METADATA_PARTITION, metadata, false)];
    for (index, (apex, path)) in apexes.iter().enumerate() {
        let path = host.path(&path.to_string_lossy());
        let file = open_regular(&path)
            .map_err(|e| unusable(format!("APEX {}: {}", apex.name, path.display()), e))?;
        partitions.push(partition(&apex_partition(index), file, false));
    }
    let apk = required("apk", app.apk.as_ref())?;
    let idsig = required("idsig", app.idsig.as_ref())?;
    partitions.push(partition(APK_PARTITION, apk, false));
    partitions.push(partition(IDSIG_PARTITION, idsig, false));
    for (index, (apk, idsig)) in config.extras.into_iter().zip(&app.extraIdsigs).enumerate() {
        let idsig = open(&format!("extraIdsigs[{index}]"), idsig)?;
        let [apk_label, idsig_label] = extra_partitions(index);
        partitions.push(partition(&apk_label, apk, false));
        partitions.push(partition(&idsig_label, idsig, false));
    }
    Ok(disk_of(partitions))
}

/// Opens a file whose path someone else has chosen: a pipe there would have us wait for its writer.
fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it must be a regular file"));
    }
    Ok(file)
}

fn described(index: usize, apex: &ApexInfo) -> ApexPayload {
    ApexPayload {
        name: apex.name.clone(),
        partition_name: apex_partition(index),
        last_update_seconds: apex.last_update_seconds,
        is_factory: apex.is_factory,
        ..ApexPayload::default()
    }
}

/// The platform's APEXes, as the profile knows them.
fn list(
    host: &Host,
    profile: &dyn Platform,
    config: &PayloadConfig,
) -> Result<ApexInfoList, Error> {
    let path = host.path(APEX_LIST);
    let what = || path.display().to_string();
    let mut list = match std::fs::read_to_string(&path) {
        Ok(xml) => ApexInfoList::parse(&xml).map_err(|e| unusable(what(), e))?,
        // A host without APEXes has payloads that need none.
        Err(e) if e.kind() == io::ErrorKind::NotFound && config.apexes.is_empty() => {
            ApexInfoList::default()
        }
        Err(e) => return Err(unusable(what(), e)),
    };
    profile.complete(&mut list, config)?;
    Ok(list)
}
