// SPDX-License-Identifier: Apache-2.0
//! The pages and completions, read by the programs that users have for them, and compared with
//! what they describe.

use super::*;
use std::collections::BTreeSet;
use std::process::Command;
use tempfile::TempDir;

/// Everything, and where it is.
fn made() -> (TempDir, Vec<PathBuf>) {
    let out = tempfile::tempdir().unwrap();
    let files = make(out.path()).unwrap();
    (out, files)
}

/// A file of the source tree.
fn source_file(path: &str) -> PathBuf {
    Path::new(WORKSPACE).join(path)
}

fn pages(files: &[PathBuf]) -> impl Iterator<Item = &PathBuf> {
    files.iter().filter(|file| file.starts_with("man"))
}

/// What the program printed on both outputs; none, with a note, if the program is missing.
fn printed(command: &mut Command) -> Option<String> {
    match command.output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{command:?}: {text}");
            Some(text)
        }
        Err(e) => {
            skip::skip!("{}: {e}", command.get_program().display());
            None
        }
    }
}

#[test]
fn programs_for_manuals_have_no_complaint() {
    let (out, files) = made();
    for page in pages(&files) {
        let file = out.path().join(page);
        let lint = Command::new("mandoc")
            .args(["-T", "lint", "-W", "warning"])
            .arg(&file)
            .output();
        match lint {
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stdout);
                assert_eq!(text, "", "{}", page.display());
            }
            Err(e) => skip::skip!("mandoc: {e}"),
        }
        let mut groff = Command::new("groff");
        groff.args(["-man", "-Tutf8", "-ww", "-z"]).arg(&file);
        if let Some(text) = printed(&mut groff) {
            assert_eq!(text, "", "{}", page.display());
        }
    }
}

#[test]
fn a_page_shows_what_is_in_it() {
    let (out, _) = made();
    let rendered = |page: &str| {
        let mut groff = Command::new("groff");
        groff
            .args(["-man", "-Tutf8", "-P-c", "-P-b", "-P-u", "-P-o"])
            .arg(out.path().join(page));
        printed(&mut groff)
    };
    if let Some(text) = rendered("man/man1/vm-run.1") {
        // The lines of the example stay apart.
        let is_line = |wanted: &str| text.lines().any(|line| line.trim() == wanted);
        assert!(is_line("\"kernel\": \"vmlinuz\","), "{text}");
        assert!(is_line("\"initrd\": \"initrd.img\","), "{text}");
        // What is asked of a page first has its section, and options have their values.
        for heading in [
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "EXIT STATUS",
            "ENVIRONMENT",
            "EXAMPLES",
            "SEE ALSO",
        ] {
            assert!(text.lines().any(|l| l == heading), "{heading}: {text}");
        }
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            flat.contains("[-m|--mem SIZE]") && flat.contains("] CONFIG"),
            "{flat}"
        );
        assert!(flat.contains("vm(1), vm-config.json(5)"), "{flat}");
    }
    if let Some(text) = rendered("man/man8/virtmgr.8") {
        for heading in ["NAME", "OPTIONS", "ENVIRONMENT", "EXIT STATUS", "FILES"] {
            assert!(
                text.lines().any(|line| line == heading),
                "{heading}: {text}"
            );
        }
        assert!(text.contains(&source()) && !text.contains('@'), "{text}");
    }
}

#[test]
fn every_command_has_its_page() {
    fn names(command: &clap::Command, name: &str, found: &mut BTreeSet<String>) {
        found.insert(name.to_owned());
        for sub in command.get_subcommands().filter(|c| !c.is_hide_set()) {
            names(sub, &format!("{name}-{}", sub.get_name()), found);
        }
    }
    let (_out, files) = made();
    for program in PROGRAMS {
        let command = (program.command)();
        let mut wanted = BTreeSet::new();
        names(&command, command.get_name(), &mut wanted);
        assert!(wanted.len() > 1, "{wanted:?}");
        for name in wanted {
            let section = program.section;
            let path = PathBuf::from(format!("man/man{section}/{name}.{section}"));
            assert!(files.contains(&path), "no {}", path.display());
        }
    }
}

#[test]
fn a_page_that_is_referred_to_exists() {
    let (out, files) = made();
    let known: BTreeSet<_> = pages(&files)
        .filter_map(|page| page.file_name()?.to_str())
        .map(str::to_owned)
        .collect();
    for page in pages(&files) {
        let text = fs::read_to_string(out.path().join(page)).unwrap();
        for line in text.lines() {
            // .BR name (section), with hyphens escaped
            let mut words = line
                .strip_prefix(".BR ")
                .into_iter()
                .flat_map(str::split_whitespace);
            let (Some(name), Some(section)) = (words.next(), words.next()) else {
                continue;
            };
            let section = section.trim_end_matches([',', '.']);
            let Some(section) = section.strip_prefix('(').and_then(|s| s.strip_suffix(')')) else {
                continue;
            };
            let wanted = format!("{}.{section}", name.replace('\\', ""));
            assert!(known.contains(&wanted), "{}: no {wanted}", page.display());
        }
    }
}

/// Everything that `text` says of the form `PREFIX` and more capitals.
fn variables(text: &str, prefix: &str) -> BTreeSet<String> {
    text.match_indices(prefix)
        .map(|(at, _)| {
            text[at..]
                .chars()
                .take_while(|c| c.is_ascii_uppercase() || *c == '_')
                .collect()
        })
        .collect()
}

#[test]
fn managers_pages_name_the_options_and_variables_of_the_help() {
    let (out, _) = made();
    let source = fs::read_to_string(source_file("src/args.rs")).unwrap();
    let wanted = variables(&source, "VIRTMGR_");
    assert!(wanted.contains("VIRTMGR_ROOT"), "{wanted:?}");
    for name in ["virtmgr", "early_virtmgr"] {
        let page = fs::read_to_string(out.path().join(format!("man/man8/{name}.8"))).unwrap();
        assert_eq!(variables(&page, "VIRTMGR_"), wanted, "{name}");
        for option in ["rpc\\-server\\-fd", "ready\\-fd", "wire", "help", "version"] {
            assert!(page.contains(option), "{name}: {option}");
        }
    }
}

#[test]
fn pages_of_files_show_what_their_readers_take() {
    let (out, _) = made();
    let example = |page: &str| {
        let text = fs::read_to_string(out.path().join(page)).unwrap();
        let (_, rest) = text.split_once("\n.EX\n").unwrap();
        let (example, _) = rest.split_once("\n.EE").unwrap();
        example.replace("\\(ti", "~")
    };
    let config = example("man/man5/vm-config.json.5");
    vm_config::VmConfig::parse(&config, Path::new("/")).unwrap();
    let permissions: serde_json::Value =
        serde_json::from_str(&example("man/man5/avf-permissions.json.5")).unwrap();
    assert!(permissions.is_object());
    let list = out.path().join("early_vms.xml");
    fs::write(&list, example("man/man5/early_vms.xml.5")).unwrap();
    printed(
        Command::new("xmllint")
            .args(["--noout", "--schema"])
            .arg(source_file("early_vms.xsd"))
            .arg(&list),
    );
    // Every key that the config's reader documents, and no other.
    let documented = fs::read_to_string(source_file("crates/vm-config/src/lib.rs")).unwrap();
    let page = fs::read_to_string(out.path().join("man/man5/vm-config.json.5")).unwrap();
    let keys: Vec<_> = documented
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `")?.split_once('`'))
        .map(|(key, _)| key)
        .collect();
    assert!(keys.contains(&"platform_version"), "{keys:?}");
    for key in keys {
        assert!(page.contains(&format!("\n.TP\n.B {key}\n")), "{key}");
    }
}

#[test]
fn shells_take_the_completions() {
    let (out, files) = made();
    for (shell, file) in [
        ("bash", "completions/bash/vm"),
        ("zsh", "completions/zsh/_vm"),
        ("fish", "completions/fish/vm.fish"),
    ] {
        assert!(files.contains(&PathBuf::from(file)), "{file}");
        let text = printed(Command::new(shell).arg("-n").arg(out.path().join(file)));
        assert_eq!(text.unwrap_or_default(), "", "{shell}");
    }
}

#[test]
fn bash_completes_a_subcommand() {
    let (out, _) = made();
    let script = format!(
        "source {}; COMP_WORDS=(vm insp); COMP_CWORD=1; _vm vm insp vm; echo ${{COMPREPLY[@]}}",
        out.path().join("completions/bash/vm").display()
    );
    if let Some(text) = printed(Command::new("bash").args(["--norc", "-c", &script])) {
        assert_eq!(text.trim(), "inspect");
    }
}
