// SPDX-License-Identifier: Apache-2.0
//! The payload's command line. In a guest it comes from the kernel parameter `avf.args`.

use anyhow::{Context, Result, bail};

/// What it does other than serve.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) ending: Ending,
    /// Never says that it is ready.
    pub(crate) hang: bool,
    /// Serves plain byte streams too.
    pub(crate) echo: bool,
    /// Copies console input to the log.
    pub(crate) console: bool,
    /// A port of the host on which to knock at the start.
    pub(crate) knock: Option<u32>,
    /// Files to write at the start: path and text.
    pub(crate) writes: Vec<(String, String)>,
}

/// How it ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    /// When it is told to.
    #[default]
    Quit,
    /// At once, with this exit code.
    Exit(u8),
    /// At once, with a reboot of the guest.
    Reboot,
    /// At once, with a panic of the guest's kernel.
    Panic,
}

impl Options {
    pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self::default();
        for arg in args {
            let (name, value) = arg
                .split_once('=')
                .map_or((arg.as_str(), None), |(n, v)| (n, Some(v)));
            match (name, value) {
                ("--exit", Some(code)) => {
                    let code = code
                        .parse()
                        .with_context(|| format!("{arg}: a code is 0 to 255"))?;
                    options.ending = Ending::Exit(code);
                }
                ("--reboot", None) => options.ending = Ending::Reboot,
                ("--panic", None) => options.ending = Ending::Panic,
                ("--hang", None) => options.hang = true,
                ("--echo", None) => options.echo = true,
                ("--console", None) => options.console = true,
                ("--knock", Some(port)) => {
                    let port = port
                        .parse()
                        .with_context(|| format!("{arg}: a port is a number"))?;
                    options.knock = Some(port);
                }
                ("--write", Some(write)) => {
                    let (path, text) = write
                        .split_once(':')
                        .with_context(|| format!("{arg}: give PATH:TEXT"))?;
                    options.writes.push((path.to_owned(), text.to_owned()));
                }
                _ => bail!(
                    "{arg}: the options are --exit=CODE, --reboot, --panic, --hang, --echo, \
                     --console, --knock=PORT and --write=PATH:TEXT"
                ),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options> {
        Options::parse(args.iter().map(ToString::to_string))
    }

    #[test]
    fn options_are_read() {
        assert_eq!(parse(&[]).unwrap(), Options::default());
        assert_eq!(parse(&["--exit=7"]).unwrap().ending, Ending::Exit(7));
        let options = parse(&["--write=/a:b:c", "--hang", "--write=/d:"]).unwrap();
        assert!(options.hang);
        assert_eq!(
            options.writes,
            [("/a".into(), "b:c".into()), ("/d".into(), String::new())]
        );
        for wrong in [
            "--exit",
            "--exit=256",
            "--exit=x",
            "--write=/a",
            "--reboot=1",
            "quit",
        ] {
            assert!(parse(&[wrong]).unwrap_err().to_string().contains(wrong));
        }
    }
}
