// SPDX-License-Identifier: Apache-2.0
#![no_main]

fuzz_targets::target!("service_call");
