// SPDX-License-Identifier: Apache-2.0
//! `virtualizationservice`: allocates resources of the whole machine to the managers of VMs.
//!
//! Arguments ([`args`]), log ([`host::logger`]), then [`virtualizationservice::serve`] until a signal.
#![forbid(unsafe_code)]

mod args;

use args::Command;
use host::{chain, logger, printable};
use std::process::ExitCode;
use virtualizationservice::{Options, Paths, serve};

fn main() -> ExitCode {
    let options = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => {
            println!("{}", args::help());
            return ExitCode::SUCCESS;
        }
        Ok(Command::Version) => {
            println!("virtualizationservice {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Ok(Command::Serve(options)) => options,
        Err(e) => {
            eprintln!("virtualizationservice: {e}; see --help");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("virtualizationservice: {}", printable(&chain(e.as_ref())));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    logger::install(
        "virtualizationservice",
        logger::level()?,
        avf_rpc::library_log::suffix,
    );
    serve(&Paths::of_process()?, options)
}
