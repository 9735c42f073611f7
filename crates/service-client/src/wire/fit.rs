// SPDX-License-Identifier: Apache-2.0
//! Whether the bytes of a call are the arguments of a method: all of them, and nothing else.
//!
//! The ordinary readers skip what they do not know and fill in what is missing, so they would read
//! another release's call without an error.

use super::form::Argument;
use rsbinder::Parcel;

/// `BINDER_TYPE_FD` and `BINDER_TYPE_BINDER` with what follows them up to a handle: the first word of an
/// object of the kernel's.
const KERNEL_FILE: i32 = i32::from_be_bytes(*b"fd*\x85");
const KERNEL_BINDERS: [i32; 2] = [
    i32::from_be_bytes(*b"sb*\x85"),
    i32::from_be_bytes(*b"sh*\x85"),
];
/// The words of such an object.
const KERNEL_OBJECT: usize = 6;
/// How RPC binder marks an object.
const RPC_BINDER: i32 = 1;
const RPC_FILE: i32 = 2;

/// A field of a parcelable.
#[derive(Clone, Copy)]
enum Field {
    Int,
    Bool,
    Long,
    Text,
}

use Field::{Bool, Int, Long, Text};

const BOOTED: &[Field] = &[Int, Text, Long];
const CREATION_REQUESTED: &[Field] = &[Int, Text, Bool, Bool, Int, Int, Int, Int, Text];
/// Later builds have one number for the memory, not two.
const EXITED: [&[Field]; 2] = [
    &[Int, Text, Int, Int, Long, Long, Long, Long],
    &[Int, Text, Int, Int, Long, Long, Long],
];
/// The events of the union `Atom`, by their tags.
const EVENTS: [&[Field]; 8] = [
    &[Long, Long],
    &[Int],
    &[Int],
    &[Long],
    &[],
    &[Long],
    &[Bool, Bool, Int, Int, Int, Int, Text],
    &[Int, Int, Long, Long, Long],
];

/// Whether what is left of `parcel` is exactly these arguments. The place where it is read stays.
pub fn fits(parcel: &mut Parcel, arguments: &[Argument]) -> bool {
    let at = parcel.data_position();
    let mut words = Words { parcel, files: 0 };
    let all = arguments.iter().try_for_each(|kind| words.argument(*kind));
    let is_all = all.is_some() && words.parcel.data_avail() == 0;
    parcel.set_data_position(at);
    is_all
}

struct Words<'a> {
    parcel: &'a mut Parcel,
    /// How many files there were.
    files: i32,
}

impl Words<'_> {
    fn word(&mut self) -> Option<i32> {
        // Asked for first: the library logs each attempt to read past the end.
        if self.parcel.data_avail() < 4 {
            return None;
        }
        self.parcel.read_i32().ok()
    }

    fn skip(&mut self, words: usize) -> Option<()> {
        let bytes = words.checked_mul(4)?;
        let next = self.parcel.data_position().checked_add(bytes)?;
        (bytes <= self.parcel.data_avail()).then(|| self.parcel.set_data_position(next))
    }

    fn is(&mut self, expected: i32) -> Option<()> {
        (self.word()? == expected).then_some(())
    }

    fn argument(&mut self, kind: Argument) -> Option<()> {
        match kind {
            Argument::Int => self.field(Int),
            Argument::Bool => self.field(Bool),
            Argument::Text => self.field(Text),
            Argument::Bytes => {
                let length = usize::try_from(self.word()?).ok()?;
                self.padded_bytes(length)
            }
            Argument::Id => {
                self.is(64)?;
                self.skip(16)
            }
            Argument::Texts => {
                let count = usize::try_from(self.word()?).ok()?;
                // Each has at least a length and a terminator.
                if count > self.parcel.data_avail() / 8 {
                    return None;
                }
                (0..count).try_for_each(|_| self.field(Text))
            }
            Argument::File => self.file(),
            Argument::Binder => self.binder(),
            Argument::Booted => self.parcelable(BOOTED),
            Argument::CreationRequested => self.parcelable(CREATION_REQUESTED),
            Argument::Exited => {
                let at = self.parcel.data_position();
                EXITED.iter().find_map(|fields| {
                    self.parcel.set_data_position(at);
                    self.parcelable(fields)
                })
            }
            Argument::Atom => {
                self.is(1)?;
                let tag = usize::try_from(self.word()?).ok()?;
                self.parcelable(EVENTS.get(tag)?)
            }
        }
    }

    fn field(&mut self, kind: Field) -> Option<()> {
        match kind {
            Int => self.word().map(drop),
            Bool => (0..=1).contains(&self.word()?).then_some(()),
            Long => self.skip(2),
            Text => self.text(),
        }
    }

    /// Presence, its own size, its fields.
    fn parcelable(&mut self, fields: &[Field]) -> Option<()> {
        self.is(1)?;
        let start = self.parcel.data_position();
        let size = usize::try_from(self.word()?).ok()?;
        fields.iter().try_for_each(|field| self.field(*field))?;
        (self.parcel.data_position() - start == size).then_some(())
    }

    /// A length in UTF-16 units, the units, a NUL; none of the units is one, and together they are a
    /// text. What pads it is zero.
    fn text(&mut self) -> Option<()> {
        let length = usize::try_from(self.word()?).ok()?;
        let words = (length.checked_add(1)?).div_ceil(2);
        if words > self.parcel.data_avail() / 4 {
            return None;
        }
        let mut units = Vec::with_capacity(words * 2);
        for _ in 0..words {
            let [a, b, c, d] = self.word()?.to_le_bytes();
            units.extend([u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])]);
        }
        let (text, rest) = units.split_at_checked(length)?;
        let is_text =
            !text.contains(&0) && char::decode_utf16(text.iter().copied()).all(|c| c.is_ok());
        (is_text && rest.iter().all(|unit| *unit == 0)).then_some(())
    }

    fn padded_bytes(&mut self, length: usize) -> Option<()> {
        let (whole, rest) = (length / 4, length % 4);
        self.skip(whole)?;
        if rest == 0 {
            return Some(());
        }
        let last = self.word()?.to_le_bytes();
        last.get(rest..)?
            .iter()
            .all(|byte| *byte == 0)
            .then_some(())
    }

    /// Presence; whether a pipe for errors goes with it; the file or files.
    fn file(&mut self) -> Option<()> {
        self.is(1)?;
        let count = match self.word()? {
            0 => 1,
            1 => 2,
            _ => return None,
        };
        for _ in 0..count {
            if !self.parcel.is_kernel_backed() {
                self.is(RPC_FILE)?;
                self.is(self.files)?;
                self.files += 1;
            } else {
                self.is(KERNEL_FILE)?;
                self.skip(KERNEL_OBJECT - 1)?;
            }
        }
        Some(())
    }

    /// The object and its stability.
    fn binder(&mut self) -> Option<()> {
        if !self.parcel.is_kernel_backed() {
            self.is(RPC_BINDER)?;
            // Its address.
            self.skip(2)?;
        } else {
            let kind = self.word()?;
            if !KERNEL_BINDERS.contains(&kind) {
                return None;
            }
            self.skip(KERNEL_OBJECT - 1)?;
        }
        self.skip(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsbinder::ParcelFileDescriptor;

    /// As on the kernel's binder; what RPC binder sends is tested with the service.
    fn parcel(fill: impl FnOnce(&mut Parcel) -> rsbinder::Result<()>) -> Parcel {
        let mut parcel = Parcel::new();
        // What precedes the arguments.
        parcel.write(&7_i32).unwrap();
        fill(&mut parcel).unwrap();
        parcel.set_data_position(4);
        parcel
    }

    #[test]
    fn objects_of_the_kernel() {
        let file = || ParcelFileDescriptor::new(std::fs::File::open("/dev/null").unwrap());
        let mut one = parcel(|parcel| parcel.write(&file()));
        assert!(fits(&mut one, &[Argument::File]));
        assert_eq!(one.data_position(), 4);
        assert!(one.read::<ParcelFileDescriptor>().is_ok());
        for kind in [Argument::Binder, Argument::Text, Argument::Id] {
            one.set_data_position(4);
            assert!(!fits(&mut one, &[kind]), "{kind:?}");
        }
        let mut two = parcel(|parcel| {
            parcel.write(&file())?;
            parcel.write(&file())
        });
        assert!(fits(&mut two, &[Argument::File, Argument::File]));
        assert!(!fits(&mut two, &[Argument::File]));
        // A CID; "sh*" and 0x85, flags, a handle, a cookie; a stability.
        let object = [2048, 0x7368_2a85, 0x13, 5, 0, 0, 0, 0x0c];
        let mut vm = parcel(|parcel| object.iter().try_for_each(|word: &i32| parcel.write(word)));
        assert!(fits(&mut vm, &[Argument::Int, Argument::Binder]));
        assert!(!fits(&mut vm, &[Argument::Text, Argument::Binder]));
    }

    #[test]
    fn texts_and_lists() {
        let texts: Vec<String> = ["", "a", "ab", "\u{1f600}"].map(str::to_owned).into();
        let mut list = parcel(|parcel| parcel.write(&texts));
        assert!(fits(&mut list, &[Argument::Texts]));
        assert!(!fits(&mut list, &[Argument::Texts, Argument::Texts]));
        for text in &texts {
            let mut one = parcel(|parcel| parcel.write(text));
            assert!(fits(&mut one, &[Argument::Text]), "{text:?}");
        }
        // Half of a surrogate pair.
        let mut half = parcel(|parcel| {
            parcel.write(&1_i32)?;
            parcel.write(&0xd83d_i32)
        });
        assert!(!fits(&mut half, &[Argument::Text]));
        assert!(fits(&mut half, &[Argument::Int, Argument::Int]));
        let null: Option<String> = None;
        let mut null = parcel(|parcel| parcel.write(&null));
        assert!(!fits(&mut null, &[Argument::Text]));
        assert!(fits(&mut null, &[Argument::Int]));
        for length in 0..9 {
            let mut bytes = parcel(|parcel| parcel.write(&vec![0xff_u8; length]));
            assert!(fits(&mut bytes, &[Argument::Bytes]), "{length}");
        }
    }
}
