//! The local world comes up whole, and goes without a trace however its owner ends.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::harness::world::{BINARY, World, scrub, start_dev};

/// The guard has 5 s for the programs and 2 s for the folder; a busy machine gets more.
const LIMIT: Duration = Duration::from_secs(20);

/// What must be gone.
struct Traces {
    folder: PathBuf,
    addresses: Vec<String>,
    pids: Vec<Pid>,
}

impl Traces {
    fn of(world: &World) -> Self {
        let addresses = [world.rpc(), world.registry(), world.coordinator()];
        let address = |url: &str| url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let pids = ["/chain/pid", "/registry/pid", "/coordinator/pid"];
        Self {
            folder: world.folder(),
            addresses: addresses.map(address).to_vec(),
            pids: pids.iter().filter_map(|pointer| Pid::from_raw(world.pid(pointer))).collect(),
        }
    }

    #[track_caller]
    fn all_there(&self) {
        assert!(self.folder.exists(), "{}", self.folder.display());
        assert_eq!(self.left().len(), 1 + self.addresses.len() + self.pids.len());
    }

    #[track_caller]
    fn all_gone(&self, after: &str) {
        let started = Instant::now();
        while !self.left().is_empty() {
            assert!(started.elapsed() < LIMIT, "left after {after}: {:?}", self.left());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn left(&self) -> Vec<String> {
        let folder = self.folder.exists().then(|| self.folder.display().to_string());
        let listening =
            self.addresses.iter().filter(|address| TcpStream::connect(address.as_str()).is_ok()).cloned();
        let running =
            self.pids.iter().filter(|pid| test_kill_process(**pid).is_ok()).map(|pid| format!("{pid:?}"));
        folder.into_iter().chain(listening).chain(running).collect()
    }
}

#[test]
fn nothing_is_left_when_standard_input_closes() {
    let mut world = World::own();
    let traces = Traces::of(&world);
    traces.all_there();
    world.let_go();
    let status = world.owner().wait().unwrap();
    assert_eq!(status.code(), Some(0));
    traces.all_gone("standard input closed");
}

#[test]
fn nothing_is_left_after_a_signal_even_sigkill() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
        let mut world = World::own();
        let traces = Traces::of(&world);
        traces.all_there();
        kill_process(Pid::from_child(world.owner()), signal).unwrap();
        let status = world.owner().wait().unwrap();
        assert_eq!(status.code(), if signal == Signal::KILL { None } else { Some(0) }, "{signal:?}");
        traces.all_gone(&format!("{signal:?}"));
    }
}

#[test]
fn a_world_that_loses_a_part_says_which_and_ends() {
    let mut child = start_dev(Stdio::piped());
    let stdin = child.stdin.take();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    let description: serde_json::Value = serde_json::from_str(&line).unwrap();
    let chain = i32::try_from(description["chain"]["pid"].as_i64().unwrap()).unwrap();
    kill_process(Pid::from_raw(chain).unwrap(), Signal::KILL).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the chain ended with signal 9"), "{said}");
    assert!(!PathBuf::from(description["folder"].as_str().unwrap()).exists());
}

#[test]
fn tokens_and_wallet_sessions_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::shared();
    let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(world.folder()), 0o700);
    for name in ["alice", "bob", "carol", "mallory"] {
        let home = PathBuf::from(world.text(&format!("/people/{name}/home")));
        for file in ["npm-token", "npmrc", "config.json", "sessions/wallet.json"] {
            assert_eq!(mode(home.join(file)), 0o600, "{name} {file}");
        }
        let token = std::fs::read_to_string(home.join("npm-token")).unwrap();
        assert!(!world.description.to_string().contains(&token), "the description holds {name}'s token");
    }
}

#[test]
fn two_first_runs_at_once_install_once_and_both_come_up() {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let start = || {
        let mut command = std::process::Command::new(BINARY);
        scrub(&mut command);
        command.args(["dev", "--json"]).env("THREEPM_HOME", home.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start()].map(|mut child| {
        let stdin = child.stdin.take();
        let stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        (child, stdin, stdout)
    });
    let mut installations = 0;
    for (child, stdin, mut stdout) in both {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        installations += String::from_utf8(output.stderr).unwrap().matches("installed in").count();
    }
    assert_eq!(installations, 1);
}
