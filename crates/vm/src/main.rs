// SPDX-License-Identifier: Apache-2.0
//! `vm`: the command line tool for virtual machines.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    vm::main()
}
