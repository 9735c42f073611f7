// SPDX-License-Identifier: Apache-2.0
//! Reading a parcel strictly: nothing missing, nothing left over, nothing that a right writer would
//! not write. This is what tells the releases apart.

use crate::release::{ALL, ANY, Layout, field};
use avf_aidl::common::IEncryptedStoreKEK;
use rsbinder::ParcelFileDescriptor;
use rsbinder::Strong;

/// Where reading stopped, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// The offset in the arguments, in bytes.
    pub offset: usize,
    /// The field that was being read.
    pub field: &'static str,
    /// The word there, if it is what is wrong.
    pub word: Option<u32>,
    /// What is wrong with it.
    pub why: &'static str,
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            offset,
            field,
            word,
            why,
        } = self;
        match word {
            Some(word) => {
                let word = word.cast_signed();
                write!(f, "{field} (byte {offset}: {word}) {why}")
            }
            None => write!(f, "{field} (byte {offset}) {why}"),
        }
    }
}

/// Reading has stopped; the reader knows where and why. An error of no size keeps each step of reading
/// small.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopped;

/// What is read.
pub(crate) type Read<T> = Result<T, Stopped>;

/// Gives the objects of a message, which are not in its bytes, by the place where each is named.
pub(crate) trait Objects {
    /// The descriptor whose presence word is the word `at`.
    fn file(&mut self, at: usize) -> Option<ParcelFileDescriptor>;
    /// The binder that begins at the word `at`.
    fn key(&mut self, at: usize) -> Option<Strong<dyn IEncryptedStoreKEK>>;
}

/// No objects: for finding out whether bytes fit.
pub(crate) struct NoObjects;

impl Objects for NoObjects {
    fn file(&mut self, _at: usize) -> Option<ParcelFileDescriptor> {
        None
    }

    fn key(&mut self, _at: usize) -> Option<Strong<dyn IEncryptedStoreKEK>> {
        None
    }
}

/// Most elements of a list; more would take much memory for what no VM has.
const MAX_ELEMENTS: usize = 4096;
/// Bytes of a word.
const WORD: usize = 4;
/// How a descriptor begins that comes over RPC: it is there, it has no channel beside it, it is a
/// descriptor.
const DESCRIPTOR: [u32; 3] = [1, 0, 2];

/// Reads the words of one call's arguments as one layout has them.
pub(crate) struct Reader<'a> {
    words: &'a [u32],
    at: usize,
    end: usize,
    layout: &'static Layout,
    asked: field::Set,
    files: u32,
    field: &'static str,
    stop: Option<Stop>,
    objects: &'a mut dyn Objects,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        words: &'a [u32],
        layout: &'static Layout,
        objects: &'a mut dyn Objects,
    ) -> Self {
        Self {
            words,
            at: 0,
            end: words.len(),
            layout,
            asked: 0,
            files: 0,
            field: "the arguments",
            stop: None,
            objects,
        }
    }

    /// Whether the layout has `fields`. Where every layout of this build has them, or none, that is
    /// known at compile time.
    #[inline(always)]
    pub(crate) fn has(&mut self, fields: field::Set) -> bool {
        if ANY & fields == 0 {
            return false;
        }
        if ALL & fields == fields {
            return true;
        }
        self.asked |= fields;
        self.layout.fields & fields != 0
    }

    /// Which differences between layouts were of consequence so far.
    pub(crate) fn asked(&self) -> field::Set {
        self.asked
    }

    /// Why reading stopped.
    pub(crate) fn why(&self) -> Stop {
        self.stop.unwrap_or(Stop {
            offset: self.at * WORD,
            field: self.field,
            word: None,
            why: "cannot be read",
        })
    }

    #[cold]
    pub(crate) fn stop<T>(&mut self, at: usize, why: &'static str) -> Read<T> {
        self.stop = Some(Stop {
            offset: at * WORD,
            field: self.field,
            word: self.words.get(at).copied().filter(|_| at < self.end),
            why,
        });
        Err(Stopped)
    }

    pub(crate) fn stop_here<T>(&mut self, why: &'static str) -> Read<T> {
        self.stop(self.at, why)
    }

    /// The rest of a parcelable, whatever it is.
    pub(crate) fn skip_rest(&mut self) -> Read<()> {
        self.at = self.end;
        Ok(())
    }

    /// Everything must have been read.
    pub(crate) fn finish(&mut self) -> Read<()> {
        if self.at == self.end {
            return Ok(());
        }
        self.field = "the arguments";
        self.stop = Some(Stop {
            offset: self.at * WORD,
            field: "the arguments",
            word: None,
            why: "go on where they should end",
        });
        Err(Stopped)
    }

    fn word(&mut self) -> Read<u32> {
        if self.at >= self.end {
            return self.stop(self.at, "is missing");
        }
        let word = self.words.get(self.at).copied();
        self.at += 1;
        word.map_or_else(|| self.stop(self.at, "is missing"), Ok)
    }

    /// How many words are left of what is being read.
    fn left(&self) -> usize {
        self.end - self.at
    }

    pub(crate) fn int(&mut self, field: &'static str) -> Read<i32> {
        self.field = field;
        Ok(self.word()?.cast_signed())
    }

    pub(crate) fn long(&mut self, field: &'static str) -> Read<i64> {
        self.field = field;
        let low = self.word()?;
        let high = self.word()?;
        Ok((u64::from(high) << 32 | u64::from(low)).cast_signed())
    }

    /// A number from 0 to `most`, as enums, booleans and tags have.
    pub(crate) fn below(&mut self, field: &'static str, most: u32, why: &'static str) -> Read<u32> {
        self.field = field;
        let word = self.word()?;
        if word > most {
            return self.stop(self.at - 1, why);
        }
        Ok(word)
    }

    pub(crate) fn boolean(&mut self, field: &'static str) -> Read<bool> {
        Ok(self.below(field, 1, "is neither true (1) nor false (0)")? == 1)
    }

    /// Whether an object is there.
    pub(crate) fn presence(&mut self, field: &'static str) -> Read<bool> {
        Ok(self.below(field, 1, "is neither present (1) nor null (0)")? == 1)
    }

    /// An object that must be there.
    pub(crate) fn present(&mut self, field: &'static str) -> Read<()> {
        if self.presence(field)? {
            Ok(())
        } else {
            self.stop(self.at - 1, "is null")
        }
    }

    /// The tag of a union with `count` alternatives.
    pub(crate) fn tag(&mut self, field: &'static str, count: u32) -> Read<u32> {
        self.present(field)?;
        self.below(field, count - 1, "has an unknown tag")
    }

    /// The number of elements, of which each has at least one word.
    pub(crate) fn count(&mut self, field: &'static str) -> Read<usize> {
        self.field = field;
        let count = self.word()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.left().min(MAX_ELEMENTS) => Ok(count),
            _ => self.stop(self.at - 1, "has a wrong number of elements"),
        }
    }

    /// Whether a list that may be null is.
    pub(crate) fn is_null_list(&self) -> bool {
        self.at < self.end && self.words[self.at] == u32::MAX
    }

    pub(crate) fn list<T>(
        &mut self,
        field: &'static str,
        mut element: impl FnMut(&mut Self) -> Read<T>,
    ) -> Read<Vec<T>> {
        let count = self.count(field)?;
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(element(self)?);
            self.field = field;
        }
        Ok(list)
    }

    /// A parcelable: its size must be that of its fields.
    pub(crate) fn parcelable<T>(
        &mut self,
        field: &'static str,
        fields: impl FnOnce(&mut Self) -> Read<T>,
    ) -> Read<T> {
        self.present(field)?;
        self.fields(field, fields)
    }

    /// A parcelable that may be null.
    pub(crate) fn nullable<T>(
        &mut self,
        field: &'static str,
        fields: impl FnOnce(&mut Self) -> Read<T>,
    ) -> Read<Option<T>> {
        if self.presence(field)? {
            self.fields(field, fields).map(Some)
        } else {
            Ok(None)
        }
    }

    fn fields<T>(
        &mut self,
        field: &'static str,
        fields: impl FnOnce(&mut Self) -> Read<T>,
    ) -> Read<T> {
        self.field = field;
        let start = self.at;
        let size = usize::try_from(self.word()?).unwrap_or(usize::MAX);
        if !size.is_multiple_of(WORD) || size < WORD || size / WORD > self.end - start {
            return self.stop(start, "has a size that does not fit");
        }
        let outer = std::mem::replace(&mut self.end, start + size / WORD);
        let value = fields(self)?;
        if self.at != self.end {
            self.field = field;
            return self.stop(self.at, "is longer than its fields");
        }
        self.end = outer;
        Ok(value)
    }

    pub(crate) fn text(&mut self, field: &'static str) -> Read<String> {
        match self.nullable_text(field)? {
            Some(text) => Ok(text),
            None => self.stop(self.at - 1, "is null"),
        }
    }

    pub(crate) fn nullable_text(&mut self, field: &'static str) -> Read<Option<String>> {
        self.field = field;
        let start = self.at;
        let length = self.word()?;
        if length == u32::MAX {
            return Ok(None);
        }
        // The units and a NUL, two to a word.
        let units = usize::try_from(length).unwrap_or(usize::MAX);
        let words = (units / 2).saturating_add(1);
        if words > self.left() {
            return self.stop(start, "has a length that does not fit");
        }
        let text = self.words[self.at..self.at + words]
            .iter()
            .flat_map(|word| [*word & 0xffff, word >> 16])
            .map(|unit| u16::try_from(unit).unwrap_or_default());
        let mut rest = text.clone().skip(units);
        if !rest.all(|unit| unit == 0) || text.clone().take(units).any(|unit| unit == 0) {
            return self.stop(start, "has a NUL inside, or does not end in NULs");
        }
        let text: Result<String, _> = char::decode_utf16(text.take(units)).collect();
        self.at += words;
        match text {
            Ok(text) => Ok(Some(text)),
            Err(_) => self.stop(start, "is not UTF-16"),
        }
    }

    /// Sixty-four bytes.
    pub(crate) fn id(&mut self, field: &'static str) -> Read<[u8; 64]> {
        self.field = field;
        let start = self.at;
        let mut id = [0; 64];
        if self.word()? != 64 || self.left() < 64 / WORD {
            return self.stop(start, "does not have 64 bytes");
        }
        for (bytes, word) in id.chunks_exact_mut(WORD).zip(&self.words[self.at..]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        self.at += 64 / WORD;
        Ok(id)
    }

    /// Bytes, whose padding must be 0.
    pub(crate) fn skip_bytes(&mut self, field: &'static str) -> Read<()> {
        self.field = field;
        let start = self.at;
        let count = usize::try_from(self.word()?).unwrap_or(usize::MAX);
        let words = count.div_ceil(WORD);
        if words > self.left() {
            return self.stop(start, "has a length that does not fit");
        }
        let used = u32::try_from(count % WORD * 8).unwrap_or_default();
        if used > 0 && self.words[self.at + words - 1] >> used != 0 {
            return self.stop(start, "is padded with other bytes than 0");
        }
        self.at += words;
        Ok(())
    }

    /// A descriptor that must be there. Descriptors have the numbers 0, 1, 2, … in a message.
    pub(crate) fn file(&mut self, field: &'static str) -> Read<Option<ParcelFileDescriptor>> {
        self.field = field;
        let start = self.at;
        for expected in DESCRIPTOR {
            if self.word()? != expected {
                return self.stop(start, "is not a file descriptor");
            }
        }
        if self.word()? != self.files {
            return self.stop(start, "is not the descriptor whose turn it is");
        }
        self.files += 1;
        Ok(self.objects.file(start))
    }

    /// A descriptor that may be null.
    pub(crate) fn nullable_file(
        &mut self,
        field: &'static str,
    ) -> Read<Option<ParcelFileDescriptor>> {
        if self.presence(field)? {
            self.at -= 1;
            self.file(field)
        } else {
            Ok(None)
        }
    }

    /// A binder that may be null: a word for its presence, its address, a word for its stability.
    pub(crate) fn nullable_binder(&mut self, field: &'static str) -> Read<Option<usize>> {
        let start = self.at;
        let is_there = self.presence(field)?;
        if is_there {
            self.long(field)?;
            self.word()?;
        } else if self.word()? != 0 {
            return self.stop(self.at - 1, "is null, but has a stability");
        }
        Ok(is_there.then_some(start))
    }

    /// The key store at the place that [`Reader::nullable_binder`] gave.
    pub(crate) fn key(&mut self, at: Option<usize>) -> Option<Strong<dyn IEncryptedStoreKEK>> {
        self.objects.key(at?)
    }
}
