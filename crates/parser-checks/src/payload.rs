// SPDX-License-Identifier: Apache-2.0
//! What describes a Microdroid's payload.

/// The platform's list of APEXes.
pub(crate) mod apex_list {
    use microdroid::apex::{ApexInfoList, CLASSPATH, Source, Wanted, select};

    /// Two texts with a zero between: the list, and what the class path's tool prints.
    pub(crate) fn check(data: &[u8]) {
        let mut parts = data.splitn(2, |byte| *byte == 0).map(str::from_utf8);
        let Some(Ok(xml)) = parts.next() else { return };
        let Ok(mut list) = ApexInfoList::parse(xml) else {
            return;
        };
        if let Some(Ok(exports)) = parts.next() {
            list.mark_classpath(exports);
        }
        let mut names: Vec<String> = vec![CLASSPATH.into()];
        names.extend(list.apexes.iter().take(2).map(|apex| apex.name.clone()));
        for source in [Source::Active, Source::Preinstalled] {
            let wanted = Wanted {
                names: &names,
                is_debuggable: true,
                source,
            };
            let Ok(selected) = select(&list, wanted) else {
                continue;
            };
            for (apex, file) in &selected {
                assert!(apex.is_active || apex.provides_libraries, "{apex:?}");
                let system = apex.preinstalled_path.starts_with("/system")
                    || apex.preinstalled_path.starts_with("/system_ext");
                assert!(system, "{apex:?}");
                if source == Source::Preinstalled {
                    assert!(file.extension().is_some_and(|e| e == "apex"), "{apex:?}");
                }
            }
            assert!(selected.is_sorted_by_key(|(apex, _)| &apex.name));
        }
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        let entry = |name: &str, libraries: bool| {
            format!(
                "<apex-info moduleName=\"{name}\" modulePath=\"/data/apex/{name}.apex\" \
                 preinstalledModulePath=\"/system/apex/{name}.apex\" versionCode=\"3\" \
                 versionName=\"\" isFactory=\"false\" isActive=\"true\" lastUpdateMillis=\"7\" \
                 provideSharedApexLibs=\"{libraries}\" partition=\"SYSTEM\"/>\n"
            )
        };
        let list = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<apex-info-list>\n{}{}{}</apex-info-list>\n",
            entry("com.android.adbd", false),
            entry("com.b", true),
            entry("com.a", false),
        );
        vec![
            list.clone().into_bytes(),
            (list + "\0export BOOTCLASSPATH /apex/com.b/x.jar:/apex/com.a/y.jar\n").into_bytes(),
        ]
    }
}

/// The content of the metadata partition.
pub(crate) mod metadata {
    use microdroid::metadata::{
        ApexPayload, ApkPayload, Metadata, Payload, PayloadConfig, VERSION,
    };

    pub(crate) fn check(data: &[u8]) {
        let Ok(read) = Metadata::from_partition(data) else {
            return;
        };
        let written = read.to_partition();
        assert_eq!(Metadata::from_partition(&written[..]).unwrap(), read);
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        let metadata = |payload| Metadata {
            version: VERSION,
            apexes: vec![
                ApexPayload {
                    name: "com.a".into(),
                    partition_name: "microdroid-apex-0".into(),
                    public_key: vec![1; 20],
                    root_digest: vec![2; 32],
                    last_update_seconds: 300,
                    is_factory: true,
                    manifest_version: -1,
                    manifest_name: "m".into(),
                };
                2
            ],
            apk: Some(ApkPayload {
                name: "apk".into(),
                payload_partition_name: "microdroid-apk".into(),
                idsig_partition_name: "microdroid-apk-idsig".into(),
            }),
            payload: Some(payload),
        };
        vec![
            metadata(Payload::ConfigPath("/mnt/apk/a.json".into())).to_partition(),
            metadata(Payload::Config(PayloadConfig {
                payload_binary_name: "p.so".into(),
                extra_apk_count: 2,
            }))
            .to_partition(),
        ]
    }
}

/// The configuration in an APK.
pub(crate) mod payload_config {
    use microdroid::{PayloadConfig, check_binary_name};

    pub(crate) fn check(data: &[u8]) {
        if let Ok(config) = PayloadConfig::parse(data)
            && let Some(task) = config.task
            && check_binary_name(&task.command).is_ok()
        {
            assert!(!task.command.is_empty() && !task.command.contains(['/', '\0']));
        }
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        let all = r#"{ "os": {"name": "microdroid"}, "task": {"type": "microdroid_launcher",
            "command": "p.so"}, "apexes": [{"name": "{CLASSPATH}"}, {"name": "com.a"}],
            "extra_apks": [{"path": "/a"}], "prefer_staged": true, "export_tombstones": false,
            "enable_authfs": true, "hugepages": true }"#;
        vec![
            all.into(),
            br#"{"task": {"type": "executable", "command": "/bin/x"}}"#.to_vec(),
        ]
    }
}

/// Verified-boot structures.
pub(crate) mod vbmeta {
    use crate::file;
    use ::vbmeta::VbMeta;

    const SIGNED: &[u8] = include_bytes!("../../vbmeta/tests/data/rsa2048-sha256.vbmeta");
    const LONG: &[u8] = include_bytes!("../../vbmeta/tests/data/rsa4096-sha512.vbmeta");
    const UNSIGNED: &[u8] = include_bytes!("../../vbmeta/tests/data/unsigned.vbmeta");

    /// The bytes as a structure, and as an image that ends with a footer.
    pub(crate) fn check(data: &[u8]) {
        let parsed = VbMeta::parse(data);
        let read = VbMeta::read(&file(data));
        if let (Ok(parsed), Ok(read)) = (&parsed, read)
            && data.len() <= 1 << 16
            && !data.windows(4).any(|bytes| bytes == b"AVBf")
        {
            assert_eq!(*parsed, read);
        }
        // Anything signed with a seed's key must equal the seed: nobody else has the key.
        if let Ok(parsed) = parsed
            && parsed.is_signed
        {
            let known = [SIGNED, LONG].map(|seed| VbMeta::parse(seed).unwrap());
            assert!(known.contains(&parsed), "{parsed:?}");
        }
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        let image = |structure: &[u8]| {
            let mut bytes = vec![0; 4096];
            bytes.extend(structure);
            bytes.extend(b"AVBf");
            for number in [1u32, 0] {
                bytes.extend(number.to_be_bytes());
            }
            for number in [4096, 4096, structure.len() as u64] {
                bytes.extend(number.to_be_bytes());
            }
            bytes.resize(bytes.len() + 28, 0);
            bytes
        };
        let structures = [SIGNED, LONG, UNSIGNED];
        let images = structures.map(image);
        structures
            .map(<[u8]>::to_vec)
            .into_iter()
            .chain(images)
            .collect()
    }
}
