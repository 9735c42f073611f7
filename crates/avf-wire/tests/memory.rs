// SPDX-License-Identifier: Apache-2.0
//! Reading takes little memory, whatever a message says of its own sizes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use avf_wire::{Release, recognise};
use std::alloc::{GlobalAlloc, Layout as Size, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use wire_bytes::schema::Type;
use wire_bytes::{Layout, Value, Writer};

/// Most bytes that the reading of one message may take.
const LIMIT: usize = 1 << 20;
/// Elements of each array: the most that the crate reads.
const ELEMENTS: usize = 4096;

/// The system's allocator, with a count of the bytes that are taken.
struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: each call is passed on as it is to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, size: Size) -> *mut u8 {
        let taken = TAKEN.fetch_add(size.size(), Ordering::Relaxed) + size.size();
        PEAK.fetch_max(taken, Ordering::Relaxed);
        // SAFETY: the caller's promise about `size` is passed on.
        unsafe { System.alloc(size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, size: Size) {
        TAKEN.fetch_sub(size.size(), Ordering::Relaxed);
        // SAFETY: `at` came from `alloc` above, so from the system's allocator, with this size.
        unsafe { System.dealloc(at, size) }
    }
}

/// How many bytes `work` takes at most, beyond what is taken already.
fn growth(work: impl FnOnce()) -> usize {
    let before = TAKEN.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    work();
    PEAK.load(Ordering::Relaxed) - before
}

/// createVm with arrays that are as long as they may be, of the least elements.
fn longest(layout: Layout, elements: usize) -> Vec<u32> {
    let fill = |ty: &Type| match ty {
        Type::Array(Type::Descriptor | Type::Parcelable(_) | Type::Union(_)) => None,
        Type::Array(ty) => Some(Value::Array(vec![ty.zero(); elements])),
        _ => None,
    };
    let values = layout.raw_config().fields.iter().map(|field| {
        if field.name == "disks" {
            let Type::Array(disk) = &field.ty else {
                panic!("{field:?}");
            };
            return Value::Array(vec![disk.zero(); elements]);
        }
        if field.name == "gpuConfig" {
            let Type::Nullable(Type::Parcelable(gpu)) = &field.ty else {
                panic!("{field:?}");
            };
            let values = gpu.fields.iter().map(|field| match &field.ty {
                Type::Nullable(ty) => fill(ty).unwrap_or(Value::Null),
                _ => field.default_value(),
            });
            return Value::Parcelable(values.collect());
        }
        fill(&field.ty).unwrap_or_else(|| field.default_value())
    });
    let config = Value::union(1, Value::Parcelable(values.collect()));
    let files = vec![Value::Null; layout.files()];
    let message = Writer::default().create_vm(layout, &config, &files);
    let words = message.words().into_iter();
    words.map(i32::cast_unsigned).collect()
}

/// One test, so that no other thread takes memory meanwhile.
#[test]
fn no_message_takes_more_than_a_mebibyte() {
    for layout in Layout::ALL {
        let mut words = longest(layout, ELEMENTS);
        let mut recognised = None;
        let right = growth(|| recognised = Some(recognise(&words)));
        let recognised = recognised.unwrap();
        let place = Layout::ALL.iter().position(|it| *it == layout).unwrap();
        assert_eq!(recognised.releases, [Release::ALL[place]], "{recognised:?}");
        assert!(right <= LIMIT, "{}: {right} bytes", layout.name());
        // Counts and sizes that promise more than comes.
        let mut wrong = 0;
        for at in 0..80 {
            for word in [i32::MAX.cast_unsigned(), u32::MAX, 0x0fff_ffff, 1 << 31] {
                let good = std::mem::replace(&mut words[at], word);
                wrong = wrong.max(growth(|| drop(recognise(&words))));
                words[at] = good;
            }
        }
        assert!(wrong <= LIMIT, "{}, changed: {wrong} bytes", layout.name());
        let bytes = 4 * words.len();
        println!(
            "{}: {bytes} bytes: {right} KiB, changed: {wrong} bytes",
            layout.name()
        );
    }
}
