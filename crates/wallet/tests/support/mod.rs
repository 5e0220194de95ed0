//! A real anvil for a test: installed from `contracts/package-lock.json` when it is not there yet, on a free
//! port of loopback, ended with the test.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use url::Url;

pub(crate) struct Anvil {
    process: Child,
    pub(crate) url: Url,
}

impl Anvil {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let process = Command::new(program())
            .args(["--host", "127.0.0.1", "--silent", "--port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "anvil does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { process, url: format!("http://127.0.0.1:{port}/").parse().unwrap() }
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> PathBuf {
    let contracts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../contracts");
    let program = contracts.join("node_modules/.bin/anvil");
    // Tests of one binary run side by side, and binaries one after the other.
    static INSTALL: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = INSTALL.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !program.exists() {
        let done =
            Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&contracts).status();
        assert!(done.unwrap().success(), "npm ci in contracts/");
    }
    program
}
