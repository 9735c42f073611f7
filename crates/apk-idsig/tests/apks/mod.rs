// SPDX-License-Identifier: Apache-2.0
//! APKs that Android's own signer signs.

#![allow(dead_code, reason = "each test program uses some of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs a program; `None` where it is not installed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
    {
        Ok(output) => {
            let text =
                String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program} {arguments:?}: {text}");
            Some(text.into_owned())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            skip::skip!("no {program} here");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

/// A private key and its certificate.
#[derive(Clone, Copy)]
pub(crate) enum Key {
    Rsa2048,
    Rsa4096,
    Ecdsa256,
    Ecdsa384,
}

impl Key {
    fn new_key(self) -> &'static [&'static str] {
        match self {
            Self::Rsa2048 => &["rsa:2048"],
            Self::Rsa4096 => &["rsa:4096"],
            Self::Ecdsa256 => &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
            Self::Ecdsa384 => &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
        }
    }
}

/// Where the tests' files are.
pub(crate) struct Workshop {
    directory: tempfile::TempDir,
}

impl Workshop {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// An archive with one file of `size` bytes.
    pub(crate) fn archive(&self, name: &str, size: usize) -> Option<PathBuf> {
        let content: Vec<u8> = (0..size)
            .map(|n| u8::try_from(n * 7 % 251).unwrap())
            .collect();
        std::fs::write(self.path("content"), content).unwrap();
        let archive = self.path(name);
        // Without compression, so that the archive is as large as its content.
        let zip = [
            "-q",
            "-0",
            "-j",
            archive.to_str().unwrap(),
            &self.text("content"),
        ];
        run("zip", &zip).map(|_| archive.clone())
    }

    /// Signs the archive, with an idsig beside it. `options` are apksigner's.
    pub(crate) fn sign(&self, apk: &Path, keys: &[Key], options: &[&str]) -> Option<PathBuf> {
        let mut arguments = vec!["sign".to_owned()];
        arguments.extend(options.iter().map(ToString::to_string));
        arguments.extend(["--min-sdk-version".into(), "28".into()]);
        for (number, key) in keys.iter().enumerate() {
            let (pem, der, certificate) = (
                self.text(&format!("key{number}.pem")),
                self.text(&format!("key{number}.pk8")),
                self.text(&format!("certificate{number}.pem")),
            );
            let mut openssl = vec![
                "req", "-x509", "-nodes", "-subj", "/CN=Test", "-days", "3650",
            ];
            openssl.extend(["-keyout", &pem, "-out", &certificate, "-newkey"]);
            openssl.extend(key.new_key());
            run("openssl", &openssl)?;
            run(
                "openssl",
                &[
                    "pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in", &pem, "-out", &der,
                ],
            )?;
            if number > 0 {
                arguments.push("--next-signer".into());
            }
            arguments.extend(["--key".into(), der, "--cert".into(), certificate]);
        }
        arguments.push(apk.to_str().unwrap().to_owned());
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        run("apksigner", &arguments)?;
        let idsig = PathBuf::from(format!("{}.idsig", apk.display()));
        Some(idsig)
    }
}
