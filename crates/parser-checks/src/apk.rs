// SPDX-License-Identifier: Apache-2.0
//! APKs and what belongs to them.

/// The end of an archive, and the signing block in front of its directory.
pub(crate) mod signing_block {
    use crate::file;
    use apk_idsig::apk_digest;

    const NUMBERS: [u32; 3] = [0x1b93_ad61, 0xf053_68c0, 0x7109_871a];

    fn sized(bytes: &[u8]) -> Vec<u8> {
        let mut all = u32::try_from(bytes.len()).unwrap().to_le_bytes().to_vec();
        all.extend(bytes);
        all
    }

    /// A signing block with one pair.
    fn block(number: u32, value: &[u8]) -> Vec<u8> {
        let mut pair = number.to_le_bytes().to_vec();
        pair.extend(value);
        let mut pairs = (pair.len() as u64).to_le_bytes().to_vec();
        pairs.extend(pair);
        let size = (pairs.len() as u64 + 24).to_le_bytes();
        [&size[..], &pairs, &size, b"APK Sig Block 42"].concat()
    }

    /// An archive with this block in front of its empty directory.
    fn archive(block: &[u8]) -> Vec<u8> {
        let mut bytes = block.to_vec();
        let offset = u32::try_from(bytes.len()).unwrap();
        bytes.extend(0x0605_4b50u32.to_le_bytes());
        bytes.extend([0; 12]);
        bytes.extend(offset.to_le_bytes());
        bytes.extend([0; 2]);
        bytes
    }

    fn digest(bytes: &[u8]) {
        for sdk in [24, 35] {
            if let Ok(found) = apk_digest(&file(bytes), sdk) {
                assert!([32, 40, 64].contains(&found.digest.len()), "{found:?}");
            }
        }
    }

    /// The bytes as an APK, and as the value of each scheme in a sound block.
    pub(crate) fn check(data: &[u8]) {
        digest(data);
        for number in NUMBERS {
            digest(&archive(&block(number, data)));
        }
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        let entries = |algorithms: &[(u32, usize)]| -> Vec<u8> {
            let entry = |(number, length): &(u32, usize)| {
                sized(&[&number.to_le_bytes()[..], &sized(&vec![9; *length])].concat())
            };
            algorithms.iter().flat_map(entry).collect()
        };
        // Signed data and the digests in it; for v3 followed by the range of SDKs.
        let signer = |algorithms: &[(u32, usize)], sdks: &[u32]| {
            let mut bytes = sized(&sized(&entries(algorithms)));
            bytes.extend(sdks.iter().flat_map(|sdk| sdk.to_le_bytes()));
            sized(&bytes)
        };
        let v2 = sized(&signer(&[(0x0103, 32), (0x0104, 64), (0x0421, 40)], &[]));
        let v3 = sized(
            &[
                signer(&[(0x0201, 32)], &[24, 32]),
                signer(&[(0x0202, 64)], &[33, i32::MAX.cast_unsigned()]),
            ]
            .concat(),
        );
        vec![
            archive(&block(NUMBERS[2], &v2)),
            archive(&block(NUMBERS[1], &v3)),
            v2,
            v3,
        ]
    }
}

/// Files of an APK, and what a guest hashes of it.
pub(crate) mod archive {
    use crate::file;
    use microdroid::archive::extract;
    use std::io::{Cursor, Write};
    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    const NAMES: [&str; 2] = ["assets/vm_config.json", "lib/x86_64/p.so"];
    const MOST: u64 = 2000;

    pub(crate) fn check(data: &[u8]) {
        let file = file(data);
        for name in NAMES {
            let mut out = Vec::new();
            let result = extract(&file, name, MOST, &mut out);
            assert!(out.len() as u64 <= MOST, "{} bytes, {result:?}", out.len());
        }
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        let archive = |method, comment: &str, padding: usize| {
            let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
            for name in NAMES {
                let options = SimpleFileOptions::default().compression_method(method);
                archive.start_file(name, options).unwrap();
                archive.write_all(&b"{ \"a\": 1 }".repeat(30)).unwrap();
            }
            archive.set_comment(comment).unwrap();
            let mut bytes = archive.finish().unwrap().into_inner();
            bytes.resize(bytes.len() + padding, 0);
            bytes
        };
        vec![
            archive(CompressionMethod::Stored, "", 0),
            archive(CompressionMethod::Deflated, "", 1000),
            archive(CompressionMethod::Deflated, "a comment", 3),
        ]
    }
}

/// Idsig files.
pub(crate) mod idsig {
    use apk_idsig::{HashingInfo, Idsig, SigningInfo};

    pub(crate) fn check(data: &[u8]) {
        let Ok(read) = Idsig::read(data, true) else {
            return;
        };
        let mut written = Vec::new();
        read.write(&mut written).unwrap();
        assert_eq!(Idsig::read(&written[..], true).unwrap(), read);
        let without = Idsig::read(data, false).unwrap();
        assert_eq!(without.hashing, read.hashing);
        assert_eq!(without.signing, read.signing);
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        let idsig = |salt: &[u8], tree: usize, signature: &[u8]| {
            let mut bytes = Vec::new();
            let idsig = Idsig {
                hashing: HashingInfo {
                    salt: salt.to_vec(),
                    root: vec![1; 32],
                },
                signing: SigningInfo {
                    apk_digest: vec![2; 32],
                    certificate: signature.to_vec(),
                    additional_data: Vec::new(),
                    public_key: signature.to_vec(),
                    algorithm: 0x0103,
                    signature: signature.to_vec(),
                },
                tree: vec![3; tree],
            };
            idsig.write(&mut bytes).unwrap();
            bytes
        };
        vec![idsig(b"", 0, b""), idsig(b"salt", 4096, &[4; 100])]
    }
}
