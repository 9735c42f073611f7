// SPDX-License-Identifier: Apache-2.0
//! What tells one call from another: its code and the types of its arguments.

use crate::read::{NoObjects, Read, Reader, Stop, create_vm};
use crate::release::Layout;
use rsbinder::{Parcel, StatusCode};

/// The type of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Argument {
    Int,
    Long,
    Boolean,
    Text,
    /// `byte[]`.
    Bytes,
    /// `byte[64]`.
    Id,
    File,
    /// A binder that is not null.
    Binder,
    /// A parcelable, of which only the size is checked here.
    Parcelable,
    /// A union of parcelables with so many alternatives.
    Union(u32),
    /// All arguments of `createVm`, which differ from release to release.
    CreateVm,
}

/// A method of an interface.
#[derive(Debug)]
pub(crate) struct Method<M: 'static> {
    pub(crate) method: M,
    pub(crate) name: &'static str,
    pub(crate) arguments: &'static [Argument],
    /// Whether calling it by mistake would change something.
    pub(crate) changes: bool,
    /// Its transaction code in each form of the interface; 0 where it does not exist.
    pub(crate) codes: &'static [u8],
}

/// An interface, in all its forms.
#[derive(Debug)]
pub(crate) struct Interface<M: 'static> {
    pub(crate) name: &'static str,
    pub(crate) methods: &'static [Method<M>],
}

impl<M> Interface<M> {
    /// The code of a method in a form that has it.
    pub(crate) fn code(&self, method: &M, form: usize) -> Option<u32>
    where
        M: PartialEq,
    {
        let mut methods = self.methods.iter();
        let entry = methods.find(|entry| entry.method == *method)?;
        let code = entry.codes.get(form).copied()?;
        (code != 0).then_some(code.into())
    }

    /// The method with this code in a form.
    pub(crate) fn method(&self, form: usize, code: u32) -> Option<&'static Method<M>> {
        let code = u8::try_from(code).ok().filter(|code| *code != 0)?;
        let mut methods = self.methods.iter();
        methods.find(|method| method.codes.get(form) == Some(&code))
    }
}

impl<M> Method<M> {
    /// Whether `words` are this method's arguments, whole and nothing else, in a layout.
    pub(crate) fn fits(&self, words: &[u32], layout: &'static Layout) -> Result<(), Stop> {
        if self.arguments == [Argument::CreateVm] {
            return create_vm(words, layout, &mut NoObjects).0.map(drop);
        }
        let mut objects = NoObjects;
        let mut reader = Reader::new(words, layout, &mut objects);
        let mut arguments = self.arguments.iter();
        arguments
            .try_for_each(|argument| reader.argument(*argument))
            .and_then(|()| reader.finish())
            .map_err(|_| reader.why())
    }
}

impl Reader<'_> {
    fn argument(&mut self, argument: Argument) -> Read<()> {
        let name = "an argument";
        match argument {
            Argument::Int => self.int(name).map(drop),
            Argument::Long => self.long(name).map(drop),
            Argument::Boolean => self.boolean(name).map(drop),
            Argument::Text => self.text(name).map(drop),
            Argument::Bytes => self.skip_bytes(name),
            Argument::Id => self.id(name).map(drop),
            Argument::File => self.file(name).map(drop),
            Argument::Binder => match self.nullable_binder(name)? {
                Some(_) => Ok(()),
                None => self.stop_here("is null"),
            },
            Argument::Parcelable => self.parcelable(name, Self::skip_rest),
            Argument::Union(tags) => {
                self.tag(name, tags)?;
                self.parcelable(name, Self::skip_rest)
            }
            Argument::CreateVm => self.stop_here("is not an argument"),
        }
    }
}

/// Most bytes that the arguments of a call may have: a kernel command line of 64 KiB has twice that in
/// UTF-16, and the rest of a config is far smaller.
pub(crate) const MAX_BYTES: usize = 256 << 10;

/// The words of a call's arguments; the position in `parcel` stays.
///
/// # Errors
/// `BadValue` if they are no whole words, or too many.
pub(crate) fn words(parcel: &mut Parcel) -> Result<Vec<u32>, StatusCode> {
    let start = parcel.data_position();
    let bytes = parcel.data_size().saturating_sub(start);
    if bytes > MAX_BYTES || !bytes.is_multiple_of(4) {
        return Err(StatusCode::BadValue);
    }
    let mut words = Vec::with_capacity(bytes / 4);
    for _ in 0..bytes / 4 {
        words.push(parcel.read_u32()?);
    }
    parcel.set_data_position(start);
    Ok(words)
}
