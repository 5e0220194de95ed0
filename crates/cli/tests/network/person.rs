//! Somebody with a home of their own who types commands.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::node::Anvil;
use crate::proxy::{Request, Upstream};

/// anvil's first account, which pays; and an address that vouches for claims.
pub const PAYER: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
pub const REGISTRAR: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

/// Of NameRegistry, PackageRegistry, SafetyRegistry and SignerFactory.
pub const CONTRACTS: usize = 4;

/// NameRegistry makes PackageRegistry.
pub const TRANSACTIONS: usize = 3;

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Person {
    home: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    #[track_caller]
    pub fn with(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        let all = format!("{}{}", self.stdout, self.stderr);
        for words in words {
            assert!(all.contains(words), "should say {words:?}: {self:?}");
        }
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

impl Person {
    pub fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// A file in their home.
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_3pm"));
        command.args(arguments).env_clear().current_dir(self.home.path());
        command.env("THREEPM_HOME", self.home.path()).env("HOME", self.home.path()).env("NO_COLOR", "1");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn types(&self, arguments: &[&str]) -> Ended {
        ended(self.command(arguments).output().unwrap())
    }

    pub fn starts(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// With a wallet at `rpc`.
    pub fn connected(self, rpc: &str) -> Self {
        self.types(&["wallet", "connect", "--rpc", rpc, "--address", PAYER]).with(0, &[]);
        self
    }
}

pub fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// `deploy` for this node, and what else is asked.
pub fn deploy<'a>(rpc: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = [
        "deploy",
        "--rpc-url",
        rpc,
        "--chain-id",
        "31337",
        "--registry-origin",
        "http://registry.example/",
        "--registrar",
        REGISTRAR,
        "--claim-window",
        "600",
    ];
    fixed.iter().chain(more).copied().collect()
}

/// One question to the node.
pub fn rpc(node: &Anvil, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    let body = body.to_string().into_bytes();
    let request = Request { method: "POST".into(), path: "/".into(), headers, body };
    let answer = Upstream::at(node.url.as_str()).ask(&request).expect("the node answers");
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    answer["result"].clone()
}

/// How many transactions the payer has sent.
pub fn sent(node: &Anvil) -> usize {
    let count = rpc(node, "eth_getTransactionCount", json!([PAYER, "latest"]));
    usize::from_str_radix(count.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The file as JSON.
pub fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
