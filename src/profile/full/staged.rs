// SPDX-License-Identifier: Apache-2.0
//! Staged APEXes, as `IPackageManagerNative` of each release tells them.
//!
//! The interface is the platform's own and has no version. Android 15 and 15 QPR1 list the modules'
//! names, and describe one module after the other; 15 QPR2 describes all of them, by the same code, and
//! 16 QPR2 by another code.

use avf_aidl::platform::{BpPackageManagerNative, StagedApexInfo};
use rsbinder::{
    BinderResult, FLAG_CLEAR_BUF, FLAG_PRIVATE_LOCAL, Parcel, Proxy, Result, SIBinder, Status,
    StatusCode,
};
use service_client::wire::{Argument, Release, fits};

/// `getStagedApexModuleNames`; from 15 QPR2 on `getStagedApexInfos`.
const NAMES_OR_INFOS: u32 = 14;
/// `getStagedApexInfo` of Android 15 and 15 QPR1.
const INFO: u32 = 15;
/// `getStagedApexInfos` from Android 16 QPR2 on.
const INFOS_16_QPR2: u32 = 17;

/// What is staged, as the package service of `release` says.
pub(super) fn ask(packages: &SIBinder, release: Release) -> BinderResult<Vec<StagedApexInfo>> {
    let code = if release < Release::V16Qpr {
        NAMES_OR_INFOS
    } else {
        INFOS_16_QPR2
    };
    let mut answer = call(packages, code, |_| Ok(()))?;
    // An empty list is the same in both forms, and other lists of texts are of no infos.
    if !fits(&mut answer, &[Argument::Texts]) {
        return Ok(answer.read()?);
    }
    let names: Vec<String> = answer.read()?;
    let mut infos = Vec::new();
    for name in names {
        let mut answer = call(packages, INFO, |data| data.write(&name))?;
        infos.extend(answer.read::<Option<StagedApexInfo>>()?);
    }
    Ok(infos)
}

/// Makes a call; what is returned follows the status.
fn call(
    packages: &SIBinder,
    code: u32,
    write: impl FnOnce(&mut Parcel) -> Result<()>,
) -> BinderResult<Parcel> {
    // It checks the descriptor.
    BpPackageManagerNative::from_binder(packages.clone()).ok_or(StatusCode::BadType)?;
    let remote = packages.as_remote().ok_or(StatusCode::BadType)?;
    let mut data = remote.prepare_transact(true)?;
    write(&mut data)?;
    let answer = remote.submit_transact(code, &data, FLAG_CLEAR_BUF | FLAG_PRIVATE_LOCAL)?;
    let mut answer = answer.ok_or(StatusCode::UnexpectedNull)?;
    let status: Status = answer.read()?;
    if status.is_ok() {
        Ok(answer)
    } else {
        Err(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use avf_rpc::server::{Policy, Server};
    use avf_rpc::unix::{UnixServer, connect};
    use rsbinder::{Binder, Interface, Remotable, TransactionCode};
    use std::io::Write;
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    /// A text in a parcel: its length, its units, a NUL.
    fn text(text: &str) -> Vec<i32> {
        let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
        let words = units.chunks(2).map(|pair| {
            let high = pair.get(1).copied().unwrap_or_default();
            i32::from(pair[0]) | i32::from(high) << 16
        });
        let length = i32::try_from(units.len() - 1).unwrap();
        [length].into_iter().chain(words).collect()
    }

    /// A staged APEX: presence, size, name, path, version, its name, whether it has class paths.
    fn info(name: &str) -> Vec<i32> {
        let fields = [
            text(name),
            text("/data/x.apex"),
            vec![7, 0],
            text("v7"),
            vec![1],
        ]
        .concat();
        let size = i32::try_from(fields.len() * 4 + 4).unwrap();
        [vec![1, size], fields].concat()
    }

    /// Answers calls with words that are written out here.
    struct Packages(fn(TransactionCode, &mut Parcel) -> Option<Vec<i32>>);

    impl Remotable for Packages {
        fn descriptor() -> &'static str {
            "android.content.pm.IPackageManagerNative"
        }

        fn on_transact(
            &self,
            code: TransactionCode,
            reader: &mut Parcel,
            reply: &mut Parcel,
        ) -> Result<()> {
            let words = (self.0)(code, reader).ok_or(StatusCode::UnknownTransaction)?;
            reply.write(&Status::from(StatusCode::Ok))?;
            words.iter().try_for_each(|word| reply.write(word))
        }

        fn on_dump(&self, _: &mut dyn Write, _: &[String]) -> Result<()> {
            Ok(())
        }
    }

    /// What is staged, by name, where the package service answers like this.
    fn staged(
        release: Release,
        answers: fn(TransactionCode, &mut Parcel) -> Option<Vec<i32>>,
    ) -> BinderResult<Vec<String>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let policy = Policy {
            connections: 8,
            threads: 2,
            callbacks: 0,
            call_bytes: None,
            fds: true,
            reply_timeout: None,
        };
        let root = Binder::new(Packages(answers)).as_binder();
        let server = Server::new(root, policy).unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        let _server = UnixServer::start(server, listener, 8).unwrap();
        let session = connect(&path, Duration::from_secs(60)).unwrap();
        let infos = ask(&session.get_root().unwrap(), release);
        session.close_session();
        infos.map(|infos| {
            for info in &infos {
                assert_eq!(info.diskImagePath, "/data/x.apex");
                assert_eq!((info.versionCode, info.hasClassPathJars), (7, true));
            }
            infos.into_iter().map(|info| info.moduleName).collect()
        })
    }

    #[test]
    fn names_and_then_one_after_the_other() {
        // Of Android 15 and 15 QPR1; the third module is not staged any more.
        let names = staged(Release::V15, |code, reader| match code {
            14 => Some([vec![3], text("a"), text("bc"), text("gone")].concat()),
            15 => {
                let name: String = reader.read().unwrap();
                Some(if name == "gone" { vec![0] } else { info(&name) })
            }
            _ => None,
        });
        assert_eq!(names.unwrap(), ["a", "bc"]);
    }

    #[test]
    fn all_at_once() {
        fn two(code: TransactionCode, reader: &mut Parcel) -> Option<Vec<i32>> {
            assert_eq!(reader.data_avail(), 0);
            (code == 14).then(|| [vec![2], info("a"), info("bc")].concat())
        }
        // Android 15 QPR2 has the version of 15; nothing but the answer tells.
        for release in [Release::V15, Release::V16] {
            assert_eq!(staged(release, two).unwrap(), ["a", "bc"]);
        }
        // 16 QPR2 inserted methods before it.
        for release in [Release::V16Qpr, Release::V17_1] {
            let names = staged(release, |code, _| {
                (code == 17).then(|| [vec![1], info("a")].concat())
            });
            assert_eq!(names.unwrap(), ["a"]);
            let error = staged(release, two).unwrap_err();
            assert_eq!(error.transaction_error(), StatusCode::UnknownTransaction);
        }
    }

    #[test]
    fn nothing_and_nonsense() {
        for release in [Release::V15, Release::V17] {
            let none = staged(release, |_, _| Some(vec![0]));
            assert!(none.unwrap().is_empty());
            for nonsense in [
                |_, _: &mut Parcel| Some(vec![i32::MAX]),
                |_, _: &mut Parcel| Some(vec![1, 1]),
                |_, _: &mut Parcel| Some(vec![1, 1, 100, 0]),
                |_, _: &mut Parcel| Some(vec![]),
            ] {
                assert!(staged(release, nonsense).is_err());
            }
        }
    }
}
