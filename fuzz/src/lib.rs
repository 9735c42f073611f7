// SPDX-License-Identifier: Apache-2.0
//! What the fuzz targets have in common.

pub use libfuzzer_sys;
pub use parser_checks;

/// The fuzzer's entry for the check with this name.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        // The macro names its crate.
        use $crate::libfuzzer_sys;
        libfuzzer_sys::fuzz_target!(|data: &[u8]| {
            static CHECK: std::sync::LazyLock<fn(&[u8])> = std::sync::LazyLock::new(|| {
                $crate::parser_checks::target($name)
                    .map(|target| target.check)
                    .expect("every target has a check")
            });
            CHECK(data);
        });
    };
}
