// SPDX-License-Identifier: Apache-2.0
//! What a client of any release sends.

/// The arguments of createVm, which tell the client's release.
pub(crate) mod create_vm {
    use avf_wire::checks::read;
    use avf_wire::{Release, recognise};
    use wire_bytes::guest::{App, Guest, app_config, raw_config};
    use wire_bytes::random;
    use wire_bytes::{Layout, Reader, Value, Writer};

    /// More elements than the crate reads of any array.
    const MANY: usize = 4096;

    pub(crate) fn check(data: &[u8]) {
        let (words, _) = data.as_chunks::<4>();
        let words: Vec<i32> = words.iter().copied().map(i32::from_le_bytes).collect();
        let unsigned: Vec<u32> = words.iter().map(|word| word.cast_unsigned()).collect();
        let mut fitting = Vec::new();
        for (layout, release) in Layout::ALL.into_iter().zip(Release::ALL) {
            let ours = read(&unsigned, release).unwrap();
            // A second reader, which shares no code with the first.
            let theirs = Reader::new(&words).create_vm(layout);
            if let Err(stop) = &ours {
                assert!(stop.offset <= 4 * words.len(), "{stop}");
                assert!(theirs.is_err() || words.len() > MANY, "{release}: {stop}");
                continue;
            }
            fitting.push(release);
            let (config, files) = theirs.unwrap();
            let again = Writer::default().create_vm(layout, &config, &files);
            assert_eq!(again.words(), words, "{release}: a second form");
        }
        let recognised = recognise(&unsigned);
        assert_eq!(recognised.releases, fitting);
        assert!(!recognised.is_ambiguous || fitting.len() > 1);
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        let guest = Guest {
            name: "vm",
            kernel: 0,
            initrd: 1,
            params: "quiet",
            read_only_partition: 2,
            writable_partition: 3,
            disk: 4,
        };
        let app = App {
            name: "vm",
            apk: 0,
            idsig: 1,
            instance: 2,
            binary: "payload",
        };
        let of = |layout: Layout| {
            let configs = [raw_config(layout, &guest), app_config(layout, &app)];
            let files = vec![Value::Null; layout.files()];
            let written =
                configs.map(|config| Writer::default().create_vm(layout, &config, &files).bytes);
            let random = random::create_vm(layout, 1).message.bytes;
            written.into_iter().chain([random])
        };
        Layout::ALL.into_iter().flat_map(of).collect()
    }
}
