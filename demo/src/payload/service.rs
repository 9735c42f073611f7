// SPDX-License-Identifier: Apache-2.0
//! `IDemoService`.

use rsbinder::{BinderResult, ExceptionCode, Interface, Status};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};
use vm_demo::{IDemoService, MAX_FILE};

/// The service; it tells the main thread when to quit.
pub(crate) struct Demo {
    quit: Sender<()>,
}

impl Demo {
    pub(crate) fn new(quit: Sender<()>) -> Self {
        Self { quit }
    }
}

impl Interface for Demo {}

#[allow(non_snake_case, reason = "AIDL method names")]
impl IDemoService for Demo {
    fn addInteger(&self, a: i32, b: i32) -> BinderResult<i32> {
        a.checked_add(b).ok_or_else(|| {
            let text = format!("{a} + {b} does not fit into 32 bits");
            Status::from((ExceptionCode::IllegalArgument, text.as_str()))
        })
    }

    fn quit(&self) -> BinderResult<()> {
        // The main thread may be quitting already.
        let _ = self.quit.send(());
        Ok(())
    }

    fn writeToFile(&self, path: &str, data: &[u8]) -> BinderResult<()> {
        write_through(path, data).map_err(|e| failed("write", path, &e))
    }

    fn readFile(&self, path: &str) -> BinderResult<Vec<u8>> {
        let mut data = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut data))
            .map_err(|e| failed("read", path, &e))?;
        if u64::try_from(data.len()).is_ok_and(|length| length > MAX_FILE) {
            let text = format!("{path} has more than {MAX_FILE} bytes");
            return Err(Status::from((
                ExceptionCode::IllegalArgument,
                text.as_str(),
            )));
        }
        Ok(data)
    }

    fn readDevice(&self, path: &str, length: i64, block: i32) -> BinderResult<i64> {
        let illegal = || {
            let text =
                format!("length {length}, block {block}: blocks are of 4096 bytes to 16 MiB");
            Status::from((ExceptionCode::IllegalArgument, text.as_str()))
        };
        let length = u64::try_from(length).map_err(|_| illegal())?;
        let block = usize::try_from(block)
            .ok()
            .filter(|size| *size > 0 && size % ALIGNMENT == 0 && *size <= MAX_BLOCK)
            .ok_or_else(illegal)?;
        let taken = read_past_cache(path, length, block).map_err(|e| failed("read", path, &e))?;
        Ok(i64::try_from(taken.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// What direct reads want their memory and lengths aligned to.
const ALIGNMENT: usize = 4096;
/// The largest block of [`IDemoService::readDevice`].
const MAX_BLOCK: usize = 16 << 20;

/// Reads `length` bytes in blocks, directly into one buffer, and says how long that took.
fn read_past_cache(path: &str, length: u64, block: usize) -> io::Result<Duration> {
    let flags = OFlags::RDONLY | OFlags::DIRECT | OFlags::CLOEXEC;
    let mut device = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let mut buffer = vec![0; block + ALIGNMENT];
    let start = buffer.as_ptr().align_offset(ALIGNMENT);
    let buffer = buffer
        .get_mut(start..start + block)
        .ok_or_else(|| io::Error::other("the buffer cannot be aligned"))?;
    let begin = Instant::now();
    let mut left = length;
    while left > 0 {
        match device.read(buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => left = left.saturating_sub(u64::try_from(n).unwrap_or(left)),
        }
    }
    Ok(begin.elapsed())
}

/// Writes a file and has it on its disk before returning.
pub(crate) fn write_through(path: &str, data: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(data)?;
    match file.sync_all() {
        // A terminal holds nothing back that could be written through.
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => Ok(()),
        synced => synced,
    }
}

fn failed(what: &str, path: &str, error: &io::Error) -> Status {
    Status::new_service_specific_error(
        error.raw_os_error().unwrap_or(-1),
        Some(format!("{what} {path}: {error}")),
    )
}
