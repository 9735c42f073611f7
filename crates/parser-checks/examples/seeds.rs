// SPDX-License-Identifier: Apache-2.0
//! Writes the seeds of each check, and what once broke it, into `DIRECTORY/CHECK`: for fuzzers.
#![forbid(unsafe_code)]

use parser_checks::TARGETS;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let Some(directory) = env::args_os().nth(1) else {
        return Err(io::Error::other("usage: seeds DIRECTORY"));
    };
    let regressions = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    for target in TARGETS {
        let place = Path::new(&directory).join(target.name);
        fs::create_dir_all(&place)?;
        for (index, seed) in (target.seeds)().into_iter().enumerate() {
            fs::write(place.join(format!("seed-{index}")), seed)?;
        }
        if let Ok(files) = fs::read_dir(regressions.join(target.name)) {
            for file in files {
                let file = file?;
                fs::copy(file.path(), place.join(file.file_name()))?;
            }
        }
        println!("{}", target.name);
    }
    Ok(())
}
