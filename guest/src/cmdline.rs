// SPDX-License-Identifier: Apache-2.0
//! The parameters of the init on the kernel command line. Each begins with `avf.`; the kernel
//! itself leaves such names alone.

use crate::failure::{Failure, Kind};

/// What every parameter of the init begins with.
const PREFIX: &str = "avf.";

/// The whole of the parameters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// `avf.noservice`: there is no manager to report to. Known even if the rest is wrong.
    pub(crate) noservice: bool,
    /// What to run, or why that is unknown.
    pub(crate) payload: Result<Payload, Failure>,
}

/// What to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// A program that is named.
    Program(Program),
    /// `avf.app`: what the payload disk says.
    App {
        /// `avf.args`.
        args: Vec<String>,
    },
}

/// A program.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Program {
    /// `avf.payload`: an absolute path.
    pub(crate) path: String,
    /// `avf.args`, split at the commas.
    pub(crate) args: Vec<String>,
    /// `avf.mount`, in the order given.
    pub(crate) mounts: Vec<Mount>,
}

/// One `avf.mount=LABEL:DIR[:ro|rw]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The partition's name in its GPT.
    pub(crate) label: String,
    /// Where to mount it: an absolute path, made if missing.
    pub(crate) dir: String,
    /// Whether it is written to.
    pub(crate) writable: bool,
}

impl Options {
    /// Reads a command line as `/proc/cmdline` shows it.
    pub(crate) fn parse(line: &str) -> Self {
        let params: Vec<String> = split(line)
            .into_iter()
            .filter(|word| word.starts_with(PREFIX))
            .collect();
        Self {
            noservice: params.iter().any(|param| param == "avf.noservice"),
            payload: Payload::parse(&params),
        }
    }
}

impl Payload {
    fn parse(params: &[String]) -> Result<Self, Failure> {
        let mut path = None;
        let mut app = None;
        let mut args = None;
        let mut mounts = Vec::new();
        for param in params {
            let (key, value) = param
                .split_once('=')
                .map_or((param.as_str(), None), |(k, v)| (k, Some(v)));
            match (key, value) {
                ("avf.payload", Some(value)) if value.starts_with('/') => {
                    once(key, &mut path, value.to_owned())?;
                }
                ("avf.payload", _) => {
                    return Err(wrong(
                        param,
                        "the payload needs an absolute path in the guest",
                    ));
                }
                ("avf.args", Some("")) => once(key, &mut args, Vec::new())?,
                ("avf.args", Some(value)) => {
                    once(
                        key,
                        &mut args,
                        value.split(',').map(str::to_owned).collect(),
                    )?;
                }
                ("avf.mount", Some(value)) => mounts.push(Mount::parse(param, value)?),
                ("avf.app", None) => once(key, &mut app, ())?,
                ("avf.noservice", None) => {}
                _ => {
                    return Err(wrong(
                        param,
                        "the init knows avf.payload=PATH, avf.app, avf.args=A,B, \
                         avf.mount=LABEL:DIR[:ro|rw] and avf.noservice",
                    ));
                }
            }
        }
        let args = args.unwrap_or_default();
        match (path, app) {
            (Some(path), None) => Ok(Self::Program(Program { path, args, mounts })),
            (None, Some(())) if mounts.is_empty() => Ok(Self::App { args }),
            (None, Some(())) => Err(wrong("avf.app", "it goes with no avf.mount")),
            (Some(_), Some(())) => Err(wrong("avf.app", "it goes with no avf.payload")),
            (None, None) => Err(Failure::new(
                Kind::Config,
                "there is no payload; add avf.payload=PATH or avf.app to the kernel parameters",
            )),
        }
    }
}

impl Mount {
    fn parse(param: &str, value: &str) -> Result<Self, Failure> {
        let (rest, writable) = match value.strip_suffix(":rw") {
            Some(rest) => (rest, true),
            None => (value.strip_suffix(":ro").unwrap_or(value), false),
        };
        match rest.split_once(':') {
            Some((label, dir)) if !label.is_empty() && dir.starts_with('/') => Ok(Self {
                label: label.to_owned(),
                dir: dir.to_owned(),
                writable,
            }),
            _ => Err(wrong(
                param,
                "a mount is LABEL:DIR, LABEL:DIR:ro or LABEL:DIR:rw with an absolute DIR",
            )),
        }
    }
}

fn once<T>(key: &str, slot: &mut Option<T>, value: T) -> Result<(), Failure> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(wrong(key, "given twice")),
    }
}

fn wrong(param: &str, why: &str) -> Failure {
    Failure::new(Kind::Config, format!("kernel parameter {param}: {why}"))
}

/// Splits as the kernel does: at white space outside double quotes, which are dropped.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_ascii_whitespace() && !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn program(line: &str) -> Program {
        match Options::parse(line).payload.unwrap() {
            Payload::Program(program) => program,
            Payload::App { .. } => panic!("{line}"),
        }
    }

    fn failure(line: &str) -> String {
        let failure = Options::parse(line).payload.unwrap_err();
        assert_eq!(failure.kind, Kind::Config, "{failure}");
        failure.to_string()
    }

    #[test]
    fn a_full_line() {
        let options = Options::parse(
            "console=ttyS0 panic=-1 avf.payload=/p/run avf.args=--exit=3,b avf.noservice \
             avf.mount=data:/mnt/d:rw avf.mount=code:/c avf.mount=x:/y:ro root=/dev/vda quiet\n",
        );
        let mount = |label: &str, dir: &str, writable| Mount {
            label: label.into(),
            dir: dir.into(),
            writable,
        };
        assert!(options.noservice);
        assert_eq!(
            options.payload.unwrap(),
            Payload::Program(Program {
                path: "/p/run".into(),
                args: vec!["--exit=3".into(), "b".into()],
                mounts: vec![
                    mount("data", "/mnt/d", true),
                    mount("code", "/c", false),
                    mount("x", "/y", false)
                ],
            })
        );
    }

    #[test]
    fn an_app_has_arguments_at_most() {
        for (line, args) in [("avf.app", &[][..]), ("avf.args=a,b avf.app", &["a", "b"])] {
            let args = args.iter().map(ToString::to_string).collect();
            assert_eq!(Options::parse(line).payload, Ok(Payload::App { args }));
        }
    }

    #[test]
    fn quotes_keep_spaces_wherever_they_stand() {
        assert_eq!(
            program("avf.payload=/p avf.args=\"a b,c\"").args,
            ["a b", "c"]
        );
        assert_eq!(
            program("\"avf.args=a b,c\" avf.payload=/p").args,
            ["a b", "c"]
        );
        assert_eq!(program("avf.payload=/p avf.args=").args, [""; 0]);
        assert_eq!(program("avf.payload=/p avf.args=a,,b").args, ["a", "", "b"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, part) in [
            ("quiet", "avf.payload=PATH"),
            ("avf.payload", "absolute"),
            ("avf.payload=run", "absolute"),
            ("avf.payload=/a avf.payload=/b", "given twice"),
            ("avf.payload=/a avf.args=b avf.args=c", "given twice"),
            (
                "avf.payload=/a avf.app",
                "avf.app: it goes with no avf.payload",
            ),
            (
                "avf.app avf.mount=a:/b",
                "avf.app: it goes with no avf.mount",
            ),
            ("avf.app avf.app", "given twice"),
            (
                "avf.payload=/a avf.mount=data",
                "avf.mount=data: a mount is",
            ),
            ("avf.payload=/a avf.mount=data:x", "absolute"),
            ("avf.payload=/a avf.mount=:/x", "a mount is"),
            (
                "avf.payload=/a avf.mounts=b:/c",
                "avf.mounts=b:/c: the init knows",
            ),
            (
                "avf.payload=/a avf.noservice=1",
                "avf.noservice=1: the init knows",
            ),
        ] {
            let text = failure(line);
            assert!(text.contains(part), "{line}: {text}");
        }
    }

    #[test]
    fn noservice_holds_though_the_rest_is_wrong() {
        let options = Options::parse("avf.noservice avf.bogus");
        assert!(options.noservice && options.payload.is_err());
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in any::<String>()) {
            let _ = Options::parse(&line);
            let _ = Options::parse(&format!("avf.{line} avf.mount={line} avf.args={line}"));
        }

        #[test]
        fn arguments_arrive_as_given(args in proptest::collection::vec("[^\",\0]{1,20}", 1..8)) {
            let line = format!("a=b avf.args=\"{}\" avf.payload=/x", args.join(","));
            prop_assert_eq!(program(&line).args, args);
        }

        #[test]
        fn other_words_change_nothing(words in proptest::collection::vec("[a-z0-9=._-]{1,12}", 0..20)) {
            let others: Vec<_> = words.into_iter().filter(|w| !w.starts_with(PREFIX)).collect();
            let line = format!("{} avf.payload=/x {}", others.join(" "), others.join("\t"));
            prop_assert_eq!(program(&line), Program { path: "/x".into(), ..Program::default() });
        }
    }
}
