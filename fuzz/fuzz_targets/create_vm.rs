// SPDX-License-Identifier: Apache-2.0
#![no_main]

fuzz_targets::target!("create_vm");
