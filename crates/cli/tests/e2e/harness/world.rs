//! A local world for tests: the real `3pm dev --json`, held up by a pipe. Knows no command but that one.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_3pm");

static SHARED: OnceLock<World> = OnceLock::new();

/// A running world. Dropping it closes the pipe, and the world goes.
#[derive(Debug)]
pub struct World {
    /// What `3pm dev --json` printed.
    pub description: Value,
    child: Child,
    stdin: Option<ChildStdin>,
}

impl World {
    /// The world that tests of this binary share; they keep apart by their packages' names. It goes
    /// when the test process ends, because its standard input closes then.
    pub fn shared() -> &'static Self {
        SHARED.get_or_init(Self::own)
    }

    /// The last that the shared world's coordinator logged: why it refused is said there and to nobody else.
    pub fn last_words() -> String {
        const LINES: usize = 12;
        let Some(world) = SHARED.get() else { return String::new() };
        let log = std::fs::read(world.folder().join("logs/coordinator.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    /// A world of one's own, for tests that stop its parts.
    pub fn own() -> Self {
        let mut child = start_dev(Stdio::inherit());
        let stdin = child.stdin.take();
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let line = lines.next().expect("3pm dev --json prints a line").expect("text");
        let description = serde_json::from_str(&line).expect("JSON");
        // Keeps the pipe open: a closed one would be a write error to 3pm.
        std::thread::spawn(move || lines.for_each(drop));
        Self { description, child, stdin }
    }

    /// A string of the description, by JSON pointer.
    pub fn text(&self, pointer: &str) -> &str {
        let value = self.description.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_else(|| panic!("{pointer} in {}", self.description))
    }

    /// A process id of the description.
    pub fn pid(&self, pointer: &str) -> i32 {
        let value = self.description.pointer(pointer).and_then(Value::as_i64);
        value
            .and_then(|pid| pid.try_into().ok())
            .unwrap_or_else(|| panic!("{pointer} in {}", self.description))
    }

    /// The world's folder.
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(self.text("/folder"))
    }

    /// The npm registry, with a final slash.
    pub fn registry(&self) -> &str {
        self.text("/registry/url")
    }

    /// The chain's JSON-RPC.
    pub fn rpc(&self) -> &str {
        self.text("/chain/rpcUrl")
    }

    /// The coordinator, with a final slash.
    pub fn coordinator(&self) -> &str {
        self.text("/coordinator/url")
    }

    /// A new empty folder in this world.
    pub fn new_folder(&self, name: &str) -> PathBuf {
        let folder = self.folder().join("tests").join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    /// The 3pm that holds it up.
    pub fn owner(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Closes the pipe.
    pub fn let_go(&mut self) {
        self.stdin = None;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.let_go();
        let _ = self.child.wait();
    }
}

/// `3pm dev --json`, with the pinned programs cached under cargo's own folder between runs.
pub fn start_dev(stderr: Stdio) -> Child {
    let mut command = Command::new(BINARY);
    command.args(["dev", "--json", "--quiet"]);
    scrub(&mut command);
    command.env("THREEPM_HOME", cache());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
    command.spawn().expect("3pm dev")
}

/// Where 3pm keeps the programs of the local world during tests.
pub fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("threepm-home")
}

/// Removes what the machine's own configuration would change.
pub fn scrub(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.to_lowercase().starts_with("threepm_") {
            command.env_remove(name);
        }
    }
}
