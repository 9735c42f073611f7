// SPDX-License-Identifier: Apache-2.0
//! What `cargo metadata` tells about the dependencies and about the crates that are published.

use crate::steps::{output, run as run_program, say};
use crate::workspace::{Workspace, cargo, host_triple};
use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// What every published crate has beside a name and a version.
const FIELDS: [&str; 5] = ["description", "license", "repository", "readme", "keywords"];

/// Checks that no dependency needs a newer compiler than we promise, and that each crate that may
/// be published can be.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let metadata = read(workspace, &["--filter-platform", &host_triple()?])?;
    let minimum = minimum_of(&metadata, workspace)?;
    let faults = [too_new(&metadata, &minimum), unpublishable(&metadata)].concat();
    for fault in &faults {
        say!("{fault}");
    }
    ensure!(faults.is_empty(), "{} faults are above", faults.len());
    let published = published(&metadata).filter_map(|package| text(package, "name"));
    let names: Vec<_> = published.collect();
    say!("Rust {minimum} is enough; published: {}", names.join(", "));
    let package = |options: &[&str]| {
        let mut command = cargo();
        command
            .args(["package", "--no-verify", "--allow-dirty", "--quiet"])
            .args(options)
            .args(names.iter().flat_map(|name| ["-p", *name]))
            .current_dir(&workspace.root);
        run_program(&mut command)
    };
    // What the registry says of each dependency is here already, if it was built here.
    package(&["--offline"]).or_else(|_| package(&[]))
}

/// The `rust-version` that all our crates have.
pub(crate) fn minimum(workspace: &Workspace) -> Result<String> {
    minimum_of(&read(workspace, &["--no-deps"])?, workspace)
}

fn minimum_of(metadata: &Value, workspace: &Workspace) -> Result<String> {
    let manifest = workspace.root.join("Cargo.toml");
    packages(metadata)
        .find(|package| text(package, "manifest_path") == manifest.to_str())
        .and_then(|package| text(package, "rust_version"))
        .map(str::to_owned)
        .with_context(|| format!("{} has no rust-version", manifest.display()))
}

fn read(workspace: &Workspace, options: &[&str]) -> Result<Value> {
    let mut command = cargo();
    command
        .args(["metadata", "--format-version=1"])
        .args(options)
        .current_dir(&workspace.root);
    serde_json::from_str(&output(&mut command)?).context("read `cargo metadata`")
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    let packages = metadata.get("packages").and_then(Value::as_array);
    packages.into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

/// Ours are those that come from no registry.
fn is_ours(package: &Value) -> bool {
    package.get("source").is_none_or(Value::is_null)
}

/// Ours that may be published: `publish = false` is an empty list.
fn published(metadata: &Value) -> impl Iterator<Item = &Value> {
    packages(metadata).filter(|package| {
        let registries = package.get("publish").and_then(Value::as_array);
        is_ours(package) && registries.is_none_or(|registries| !registries.is_empty())
    })
}

/// The dependencies that need a newer compiler than `minimum`.
fn too_new(metadata: &Value, minimum: &str) -> Vec<String> {
    packages(metadata)
        .filter_map(|package| {
            let needed = text(package, "rust_version")?;
            let is_newer = numbers(needed) > numbers(minimum);
            is_newer.then(|| {
                format!(
                    "{} {} needs Rust {needed}, but Cargo.toml promises {minimum}",
                    text(package, "name").unwrap_or("?"),
                    text(package, "version").unwrap_or("?")
                )
            })
        })
        .collect()
}

/// A version as three numbers, those that are left out being 0.
fn numbers(version: &str) -> [u64; 3] {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

/// Why crates that may be published cannot be.
fn unpublishable(metadata: &Value) -> Vec<String> {
    let names: Vec<_> = published(metadata)
        .filter_map(|package| text(package, "name"))
        .collect();
    let mut faults = Vec::new();
    for package in published(metadata) {
        let name = text(package, "name").unwrap_or("?");
        for field in FIELDS {
            let value = package.get(field).filter(|value| !value.is_null());
            if value.is_none_or(|value| value.as_array().is_some_and(Vec::is_empty)) {
                faults.push(format!(
                    "{name}: no {field}; add it, or set `publish = false`"
                ));
            }
        }
        let dependencies = package.get("dependencies").and_then(Value::as_array);
        for dependency in dependencies.into_iter().flatten() {
            // Test dependencies without a version are left out when a crate is published.
            let of_tests = text(dependency, "kind") == Some("dev");
            if of_tests || text(dependency, "path").is_none() {
                continue;
            }
            let other = text(dependency, "name").unwrap_or("?");
            if text(dependency, "req") == Some("*") {
                faults.push(format!("{name}: its dependency {other} has no version"));
            }
            if !names.contains(&other) {
                faults.push(format!("{name}: its dependency {other} is not published"));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, dependencies: &Value) -> Value {
        json!({
            "name": name, "version": "1.0.0", "rust_version": "1.89", "source": null,
            "publish": null, "description": "d", "license": "l", "repository": "r",
            "readme": "README.md", "keywords": ["k"], "dependencies": dependencies,
        })
    }

    #[test]
    fn a_dependency_that_needs_a_newer_compiler_is_named() {
        let metadata = json!({ "packages": [
            { "name": "old", "version": "1.0.0", "rust_version": "1.63" },
            { "name": "same", "version": "1.0.0", "rust_version": "1.89.0" },
            { "name": "any", "version": "1.0.0", "rust_version": null },
            { "name": "new", "version": "2.0.0", "rust_version": "1.89.1" },
        ]});
        assert_eq!(
            too_new(&metadata, "1.89"),
            ["new 2.0.0 needs Rust 1.89.1, but Cargo.toml promises 1.89"]
        );
        assert!(too_new(&metadata, "1.90").is_empty());
    }

    #[test]
    fn what_hinders_publishing_is_named() {
        let path = |name: &str, req: &str, kind: Value| json!({ "name": name, "path": "p", "req": req, "kind": kind });
        let user = |dependencies| package("user", &dependencies);
        let library = || package("library", &json!([]));
        let mut private = package("private", &json!([]));
        private["publish"] = json!([]);
        private["readme"] = Value::Null;
        let faults =
            |user, library| unpublishable(&json!({ "packages": [user, library, private.clone()] }));
        let good = json!([
            path("library", "^1.0.0", Value::Null),
            path("private", "*", json!("dev")),
            { "name": "elsewhere", "req": "^1", "kind": null },
        ]);
        assert_eq!(faults(user(good), library()), [""; 0]);
        assert_eq!(
            faults(user(json!([path("library", "*", Value::Null)])), library()),
            ["user: its dependency library has no version"]
        );
        assert_eq!(
            faults(user(json!([path("private", "^1", Value::Null)])), library()),
            ["user: its dependency private is not published"]
        );
        let mut bare = library();
        bare["keywords"] = json!([]);
        bare["repository"] = Value::Null;
        assert_eq!(
            faults(user(json!([])), bare),
            [
                "library: no repository; add it, or set `publish = false`",
                "library: no keywords; add it, or set `publish = false`"
            ]
        );
    }
}
