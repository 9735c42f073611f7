// SPDX-License-Identifier: Apache-2.0
//! Each rule by which a VM's APEXes are selected.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail like this, also in what it calls"
)]

use microdroid::apex::{ApexError, ApexInfoList, CLASSPATH, Source, StagedApex, Wanted, select};

/// One APEX of a list: name, version, attributes that differ from the usual.
fn apex(name: &str, version: u64, more: &str) -> String {
    let mut text = format!(
        r#"<apex-info moduleName="{name}" versionCode="{version}" modulePath="/data/apex/{name}.apex"
            preinstalledModulePath="/system/apex/{name}.apex" lastUpdateMillis="12345"
            isFactory="false" isActive="true" provideSharedApexLibs="false" partition="SYSTEM""#
    );
    for attribute in more.split_whitespace() {
        let (key, _) = attribute.split_once('=').unwrap();
        let start = text.find(&format!(" {key}=")).unwrap() + 1;
        let value = text[start..].find('"').unwrap() + start + 1;
        let end = text[value..].find('"').unwrap() + value + 1;
        text.replace_range(start..end, attribute);
    }
    text + "/>"
}

fn list(apexes: &[String]) -> ApexInfoList {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><apex-info-list>{}</apex-info-list>",
        apexes.concat()
    );
    ApexInfoList::parse(&xml).unwrap()
}

fn names(list: &ApexInfoList, named: &[&str], is_debuggable: bool, source: Source) -> Vec<String> {
    let named: Vec<String> = named.iter().map(ToString::to_string).collect();
    let wanted = Wanted {
        names: &named,
        is_debuggable,
        source,
    };
    select(list, wanted)
        .unwrap()
        .into_iter()
        .map(|(apex, file)| format!("{}@{}={}", apex.name, apex.version, file.display()))
        .collect()
}

#[test]
fn named_active_and_sorted() {
    let list = list(&[
        apex("c", 3, ""),
        apex("a", 2, ""),
        apex("b", 1, "isActive=\"false\""),
        apex("d", 1, ""),
    ]);
    let found = names(&list, &["c", "a"], false, Source::Active);
    assert_eq!(found, ["a@2=/data/apex/a.apex", "c@3=/data/apex/c.apex"]);
    for missing in ["b", "missing"] {
        let names = ["a".to_owned(), missing.to_owned()];
        let wanted = Wanted {
            names: &names,
            is_debuggable: false,
            source: Source::Active,
        };
        let error = select(&list, wanted).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "APEX {missing} is not active on this host; install it, or remove it from the payload configuration"
            )
        );
    }
}

#[test]
fn libraries_always_and_the_debugger_if_it_may() {
    let list = list(&[
        apex("com.android.adbd", 1, ""),
        apex("lib", 5, "provideSharedApexLibs=\"true\""),
        // One that was replaced still provides what others were built against.
        apex(
            "lib",
            4,
            "provideSharedApexLibs=\"true\" isActive=\"false\"",
        ),
    ]);
    let libraries = ["lib@4=/data/apex/lib.apex", "lib@5=/data/apex/lib.apex"];
    assert_eq!(names(&list, &[], false, Source::Active), libraries);
    let with_debugger = names(&list, &[], true, Source::Active);
    assert_eq!(
        with_debugger[0],
        "com.android.adbd@1=/data/apex/com.android.adbd.apex"
    );
    assert_eq!(with_debugger[1..], libraries);
}

#[test]
fn the_class_path() {
    let mut list = list(&[
        apex("com.a", 1, ""),
        apex("com.b", 1, ""),
        apex("com", 1, ""),
    ]);
    list.mark_classpath(
        "export BOOTCLASSPATH /apex/com.a/javalib/x.jar:/system/framework/y.jar\n\
         export OTHER /apex/com.b/z.jar\nnot a line",
    );
    let found = names(&list, &[CLASSPATH], false, Source::Active);
    assert_eq!(
        found,
        [
            "com.a@1=/data/apex/com.a.apex",
            "com.b@1=/data/apex/com.b.apex"
        ]
    );
    assert!(names(&list, &[], false, Source::Active).is_empty());
}

#[test]
fn staged_ones() {
    let mut list = list(&[apex("a", 1, "isFactory=\"true\""), apex("b", 1, "")]);
    for name in ["a", "b", "unknown"] {
        list.stage(&StagedApex {
            name: name.into(),
            version: 9,
            path: format!("/data/staged/{name}").into(),
            is_of_classpath: true,
            last_update_seconds: 77,
        });
    }
    let found = names(&list, &["a", "b"], false, Source::Active);
    assert_eq!(found, ["a@9=/data/staged/a", "b@9=/data/staged/b"]);
    let staged = &list.apexes[0];
    assert!(staged.is_of_classpath && staged.last_update_seconds == 77 && !staged.is_factory);
    // The factory one stays, as inactive; the other had none.
    assert_eq!(list.apexes.len(), 3);
    let factory = &list.apexes[2];
    assert!(factory.is_factory && !factory.is_active && factory.version == 1);
}

#[test]
fn only_those_of_the_system() {
    let select_one = |list: &ApexInfoList, source| {
        let names = ["a".to_owned()];
        let wanted = Wanted {
            names: &names,
            is_debuggable: false,
            source,
        };
        select(list, wanted).map(|found| found.len())
    };
    for place in ["/system/apex/a.apex", "/system_ext/apex/a.apex"] {
        let list = list(&[apex("a", 1, &format!("preinstalledModulePath=\"{place}\""))]);
        assert_eq!(select_one(&list, Source::Active).unwrap(), 1);
        let early = names(&list, &["a"], false, Source::Preinstalled);
        assert_eq!(early, [format!("a@1={place}")]);
    }
    for place in [
        "/vendor/apex/a.apex",
        "",
        "/systematic/a.apex",
        "system/a.apex",
    ] {
        let list = list(&[apex("a", 1, &format!("preinstalledModulePath=\"{place}\""))]);
        let error = select_one(&list, Source::Active).unwrap_err();
        assert!(
            matches!(error, ApexError::NotOfSystem { .. }),
            "{place}: {error}"
        );
    }
    // Compressed: its active file can be used, that with which the system came cannot.
    let list = list(&[apex(
        "a",
        1,
        "preinstalledModulePath=\"/system/apex/a.capex\"",
    )]);
    assert_eq!(select_one(&list, Source::Active).unwrap(), 1);
    let error = select_one(&list, Source::Preinstalled).unwrap_err();
    assert!(matches!(error, ApexError::Compressed { .. }), "{error}");
}

#[test]
fn lists_that_are_none() {
    for xml in [
        "",
        "<apex-info-list>",
        "<other/>",
        "<!DOCTYPE x><apex-info-list/>",
        "<apex-info-list><apex-info moduleName=\"a\"/></apex-info-list>",
        "<apex-info-list><apex-info moduleName=\"a\" modulePath=\"/a\" isFactory=\"maybe\" isActive=\"true\"/></apex-info-list>",
    ] {
        assert!(ApexInfoList::parse(xml).is_err(), "{xml}");
    }
    assert!(
        ApexInfoList::parse("<apex-info-list/>")
            .unwrap()
            .apexes
            .is_empty()
    );
}
