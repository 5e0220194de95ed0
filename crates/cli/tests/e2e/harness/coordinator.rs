//! A coordinator of a test's own, on the shared world's chain and registry: it can be killed and started
//! again, and its way to npm and to the chain can lead through a proxy.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::people::Person;
use super::world::{BINARY, World, scrub};

/// A coordinator that belongs to one test.
#[derive(Debug)]
pub struct Coordinator {
    /// With a final slash; the same after every start.
    pub url: String,
    /// Its process, for those who kill it from elsewhere; zero while it does not run.
    pub pid: Arc<AtomicI32>,
    /// Everything it writes is in here.
    pub folder: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    child: Option<Child>,
}

impl Coordinator {
    /// Prepares one whose npm registry is at `registry` and whose chain is at `rpc`; does not start it.
    pub fn new(world: &World, name: &str, registry: &str, rpc: &str) -> Self {
        let folder = world.new_folder(&format!("coordinator-{name}"));
        let config = json!({
            "network": "local",
            "networks": { "local": {
                "chainId": 31337,
                "rpcUrls": [rpc],
                "nameRegistry": world.text("/chain/nameRegistry"),
                "packageRegistry": world.text("/chain/packageRegistry"),
                "confirmations": 1,
                "registryOrigin": registry,
            } }
        });
        std::fs::write(folder.join("config.json"), config.to_string()).expect("written");
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let address = port.expect("a loopback port").to_string();
        let url = format!("http://{address}/");
        let data = folder.join("data").display().to_string();
        let arguments = ["coordinator", "serve", "--listen", &address, "--data", &data, "--public-url", &url];
        let arguments =
            arguments.iter().chain(&["--poll-seconds", "0.2"]).map(|text| (*text).to_owned()).collect();
        Self { url, pid: Arc::default(), folder, arguments, environment: Vec::new(), child: None }
    }

    /// The same with one more variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with more confirmations than one before something counts.
    #[must_use]
    pub fn confirming(self, confirmations: u64) -> Self {
        let path = self.folder.join("config.json");
        let config = std::fs::read_to_string(&path).expect("a configuration");
        let mut config: Value = serde_json::from_str(&config).expect("JSON");
        config["networks"]["local"]["confirmations"] = json!(confirmations);
        std::fs::write(path, config.to_string()).expect("written");
        self
    }

    /// Starts it and waits until it answers, or until it is dead: then false.
    pub fn start(&mut self) -> bool {
        let log =
            std::fs::File::options().create(true).append(true).open(self.folder.join("log")).expect("a log");
        let mut command = Command::new(BINARY);
        scrub(&mut command);
        command.args(&self.arguments).env("THREEPM_HOME", &self.folder);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        let child = self.child.insert(command.spawn().expect("a coordinator"));
        self.pid.store(i32::try_from(child.id()).expect("a pid"), Ordering::SeqCst);
        let started = Instant::now();
        while !self.answers() {
            if self.child.as_mut().is_some_and(|child| child.try_wait().expect("a child").is_some()) {
                self.forget();
                return false;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "no coordinator: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }

    /// kill -9.
    pub fn kill(&mut self) {
        kill(&self.pid);
        self.forget();
    }

    /// Waits until somebody else has killed it.
    #[track_caller]
    pub fn wait_until_dead(&mut self) {
        let started = Instant::now();
        let child = self.child.as_mut().expect("it was started");
        while child.try_wait().expect("a child").is_none() {
            assert!(started.elapsed() < Duration::from_secs(30), "nobody killed the coordinator");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.forget();
    }

    /// Whether its process runs.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().expect("a child").is_none())
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// A proposal as it sees it; `None` when it does not answer or does not know it.
    pub fn proposal(&self, id: &str) -> Option<Value> {
        let response = super::raw::try_send(&self.url, "GET", &format!("v1/proposals/{id}"), None)?;
        (response.status == 200).then(|| serde_json::from_slice(&response.body).expect("JSON"))
    }

    /// Somebody who talks to this coordinator.
    pub fn seen_by(&self, person: Person) -> Person {
        person.with("THREEPM_COORDINATOR_URL", self.url.clone())
    }

    fn answers(&self) -> bool {
        super::raw::try_send(&self.url, "GET", "v1/health", None)
            .is_some_and(|response| response.status == 200)
    }

    fn forget(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
        self.pid.store(0, Ordering::SeqCst);
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        self.kill();
    }
}

/// kill -9 of a coordinator, from wherever its process id is known.
pub fn kill(pid: &AtomicI32) {
    if let Some(pid) = Pid::from_raw(pid.load(Ordering::SeqCst)) {
        let _ = kill_process(pid, Signal::KILL);
    }
}
