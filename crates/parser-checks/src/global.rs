// SPDX-License-Identifier: Apache-2.0
//! What a manager of any release sends to the global service.

/// A call: its transaction code in one byte, and its arguments.
pub(crate) mod service_call {
    use avf_aidl::common::Atom;
    use avf_aidl::global::{AtomVmBooted, AtomVmCreationRequested, AtomVmExited};
    use rsbinder::{Parcel, Result};
    use service_client::wire::{Argument, Form, Method, fits};

    pub(crate) fn check(data: &[u8]) {
        let Some((code, arguments)) = data.split_first() else {
            return;
        };
        let (words, _) = arguments.as_chunks::<4>();
        let mut parcel = Parcel::new();
        for word in words {
            parcel.write(&i32::from_le_bytes(*word)).unwrap();
        }
        let mut methods: Vec<Method> = Vec::new();
        for form in Form::ALL {
            let Some(method) = form.method((*code).into()) else {
                continue;
            };
            parcel.set_data_position(0);
            if !fits(&mut parcel, method.arguments()) {
                continue;
            }
            assert_eq!(parcel.data_position(), 0);
            // What fits is read without an error, and to its end.
            let mut arguments = method.arguments().iter();
            if arguments.clone().all(is_of_words) {
                arguments
                    .try_for_each(|kind| read(&mut parcel, *kind))
                    .unwrap();
                assert_eq!(parcel.data_avail(), 0, "{method:?}");
            }
            if !methods.contains(&method) {
                methods.push(method);
            }
        }
        // Only calls without arguments can be another method of another form.
        assert!(methods.len() < 2 || words.is_empty(), "{code}: {methods:?}");
    }

    /// Files and binders cannot be read from bytes alone.
    fn is_of_words(kind: &Argument) -> bool {
        !matches!(kind, Argument::File | Argument::Binder)
    }

    fn read(parcel: &mut Parcel, kind: Argument) -> Result<()> {
        match kind {
            Argument::Int => parcel.read::<i32>().map(drop),
            Argument::Bool => parcel.read::<bool>().map(drop),
            Argument::Text => parcel.read::<String>().map(drop),
            Argument::Bytes => parcel.read::<Vec<u8>>().map(drop),
            Argument::Id => parcel.read::<[u8; 64]>().map(drop),
            Argument::Texts => parcel.read::<Vec<String>>().map(drop),
            Argument::Booted => parcel.read::<AtomVmBooted>().map(drop),
            Argument::CreationRequested => parcel.read::<AtomVmCreationRequested>().map(drop),
            Argument::Exited => parcel.read::<AtomVmExited>().map(drop),
            Argument::Atom => parcel.read::<Atom>().map(drop),
            Argument::File | Argument::Binder => Ok(()),
        }
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        // "vm": two units, the units, a NUL, padding.
        let vm = [2, 0x006d_0076, 0];
        let mut id = vec![7; 17];
        id[0] = 64;
        let calls: [(u8, &[&[i32]]); 12] = [
            (2, &[&[77]]),
            (2, &[&vm, &[77]]),
            (3, &[&[1, 28, 5], &vm, &[6, 0]]),
            (4, &[&[1, 48, 5], &vm, &[1, 0, 0, 2, 4, 256, 0, 0]]),
            (5, &[&[1, 60, 5], &vm, &[6, 9, 1, 0, 2, 0, 3, 0, 4, 0]]),
            (7, &[&[1, 52, 5], &vm, &[6, 9, 1, 0, 2, 0, 3, 0]]),
            (7, &[&[3, 0x0003_0201, 9, 1]]),
            (8, &[&[1, 1, 1, 8, 3, 5], &vm]),
            (9, &[]),
            (11, &[&[2], &vm, &vm]),
            (14, &[&id]),
            (19, &[&vm]),
        ];
        calls
            .into_iter()
            .map(|(code, words)| {
                let bytes = words.concat().into_iter().flat_map(i32::to_le_bytes);
                [code].into_iter().chain(bytes).collect()
            })
            .collect()
    }
}
