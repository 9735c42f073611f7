// SPDX-License-Identifier: Apache-2.0
//! How the shared library is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    // Android has no versions in names of libraries. Elsewhere the number is that of the C
    // interface: it changes when a program that was linked to the library would break.
    let name = match target.as_str() {
        "android" => "libvmclient_c.so",
        _ => "libvmclient_c.so.0",
    };
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{name}");
    // The threads that wait for managers run the library's code for as long as these do, so
    // `dlclose` must not take it away.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
