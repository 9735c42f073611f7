// SPDX-License-Identifier: Apache-2.0
//! `IDemoService`.

use rsbinder::{BinderResult, ExceptionCode, Interface, Status};
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::mpsc::Sender;
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
}

/// Writes a file and has it on its disk before returning.
pub(crate) fn write_through(path: &str, data: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(data)?;
    file.sync_all()
}

fn failed(what: &str, path: &str, error: &io::Error) -> Status {
    Status::new_service_specific_error(
        error.raw_os_error().unwrap_or(-1),
        Some(format!("{what} {path}: {error}")),
    )
}
