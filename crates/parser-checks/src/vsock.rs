// SPDX-License-Identifier: Apache-2.0
//! The vsock device: what a guest puts into its queues, what a program of the host says.

/// Lines with which a program of the host asks for a guest's port.
pub(crate) mod connect_line {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use vsock_device::checks::connect_line;

    pub(crate) fn check(data: &[u8]) {
        let (mut host, device) = UnixStream::pair().unwrap();
        // More than the longest line is not read in any case.
        host.write_all(&data[..data.len().min(4096)]).unwrap();
        let Some(port) = connect_line(&device) else {
            return;
        };
        assert_ne!(port, u32::MAX);
        let end = data.iter().position(|byte| *byte == b'\n').unwrap();
        let line = str::from_utf8(&data[..end]).unwrap();
        let digits = line.trim_end_matches('\r').strip_prefix("CONNECT ");
        assert_eq!(digits.unwrap().parse(), Ok(port));
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        [
            "CONNECT 1024\n",
            "CONNECT 4294967294\r\nmore",
            "CONNECT 5",
            "CONNECT 00000000000001\n",
        ]
        .map(Into::into)
        .to_vec()
    }
}

/// Queues in a guest's memory, with packets.
pub(crate) mod virtqueue {
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::sync::{LazyLock, Mutex};
    use vsock_device::checks::{PORT, guest, queues};

    /// The sockets of a device: one program listens on its port.
    struct Host {
        prefix: String,
        listener: UnixListener,
        _directory: tempfile::TempDir,
    }

    static HOST: LazyLock<Mutex<Host>> = LazyLock::new(|| {
        let directory = tempfile::tempdir().unwrap();
        let prefix: PathBuf = directory.path().join("vsock");
        let prefix = prefix.to_str().unwrap().to_owned();
        let listener = UnixListener::bind(format!("{prefix}_{PORT}")).unwrap();
        listener.set_nonblocking(true).unwrap();
        Mutex::new(Host {
            prefix,
            listener,
            _directory: directory,
        })
    });

    pub(crate) fn check(data: &[u8]) {
        let host = HOST
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        guest(&host.prefix, &host.listener, data);
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        queues()
    }
}
