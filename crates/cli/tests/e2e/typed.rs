//! What `3pm dev` and `3pm demo --keep` print to be typed is typed here, line by line, at a terminal.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::terminal;
use crate::harness::world::{BINARY, cache, scrub};

/// For the coordinator to publish, and for the world to go, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A world as it was printed, and the people's terminals in it.
struct Printed {
    owner: Child,
    folder: PathBuf,
    addresses: Vec<String>,
    /// What makes a terminal somebody's, and what was typed there that lasts.
    terminals: BTreeMap<String, String>,
    /// Who types what: the story, then what stands below the two others' names.
    steps: Vec<(String, String)>,
    /// The last id that was shown to somebody.
    id: String,
}

impl Printed {
    fn by(arguments: &[&str]) -> Self {
        let (printed, written) = std::io::pipe().unwrap();
        let mut command = Command::new(BINARY);
        scrub(&mut command);
        command.args(arguments).env("THREEPM_HOME", cache()).env("NO_COLOR", "1").stdin(Stdio::null());
        command.stdout(written.try_clone().unwrap()).stderr(written);
        let owner = command.spawn().unwrap();
        drop(command);
        let mut world = Self {
            owner,
            folder: PathBuf::new(),
            addresses: vec![],
            terminals: BTreeMap::new(),
            steps: vec![],
            id: String::new(),
        };
        let (mut lines, mut whole, mut name) =
            (BufReader::new(printed).lines(), String::new(), String::new());
        for line in lines.by_ref() {
            let line = line.unwrap();
            whole += &format!("{line}\n");
            world.read(&line, &mut name);
            if line.trim_start().starts_with("npm whoami") {
                break;
            }
        }
        assert_eq!(world.addresses.len(), 3, "{whole}");
        assert_eq!(world.terminals.len(), 5, "{whole}");
        // Keeps the pipe open: a closed one would be a write error to 3pm.
        std::thread::spawn(move || lines.for_each(drop));
        world
    }

    /// One line of the introduction; `name` is whose lines these are.
    fn read(&mut self, line: &str, name: &mut String) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (line.len() - line.trim_start().len(), words.as_slice()) {
            (2, ["chain" | "coordinator", url, ..] | ["npm", "registry", url, ..])
                if url.starts_with("http:") =>
            {
                self.addresses.push(url.trim_start_matches("http://").trim_end_matches('/').to_owned());
            }
            (2, ["folder", path]) => self.folder = path.into(),
            (2, [who]) => *name = (*who).to_owned(),
            (2, [who, ..]) if self.terminals.contains_key(*who) => {
                let command = line.trim_start().trim_start_matches(who).trim_start().to_owned();
                self.steps.push(((*who).to_owned(), command));
            }
            (4, ["export", ..]) => {
                *self.terminals.entry(name.clone()).or_default() += &format!("{}\n", line.trim_start());
            }
            (4, [_, ..]) if self.terminals.contains_key(name) => {
                self.steps.push((name.clone(), line.trim_start().to_owned()));
            }
            _ => {}
        }
    }

    /// Types it, and returns what was printed.
    #[track_caller]
    fn types(&mut self, who: &str, command: &str) -> String {
        let command = command.replace("approve ID", &format!("approve {}", self.id));
        let terminal = self.terminals.get_mut(who).unwrap();
        let mut shell = Command::new("bash");
        let machine = ["PATH", "HOME", "USER"].into_iter();
        shell.env_clear().envs(machine.filter_map(|name| Some((name, std::env::var_os(name)?))));
        // What somebody makes in a temporary folder goes with the world.
        shell.env("TMPDIR", &self.folder).env("NO_COLOR", "1").current_dir(&self.folder);
        shell.args(["-c", &format!("{terminal}{command}")]);
        if command.starts_with("cd ") && !command.contains("&&") {
            terminal.push_str(&format!("{command}\n"));
        }
        let (code, said) = terminal::run(shell);
        assert_eq!(code, Some(0), "{who}$ {command}\n{said}");
        if let Some(at) = said.find("0x").filter(|_| command.contains("pending")) {
            let is_id = |text: &str| text.len() == 66 && text.starts_with("0x");
            let id = said[at..].split_whitespace().find(|word| is_id(word));
            self.id = id.unwrap_or_default().to_owned();
        }
        said
    }

    /// Types everything in its order; each status until what it tells of is on npm.
    fn type_everything(&mut self) -> Vec<(String, String, String)> {
        let started = Instant::now();
        let mut told = Vec::new();
        for (who, command) in self.steps.clone() {
            let mut said = self.types(&who, &command);
            while command.starts_with("3pm status") && !said.contains("  published") {
                assert!(started.elapsed() < 4 * LIMIT, "{who}$ {command}\n{said}");
                said = self.types(&who, &command);
            }
            told.push((who, command, said));
        }
        told
    }

    #[track_caller]
    fn ends_without_a_trace(&mut self) {
        kill_process(Pid::from_child(&self.owner), Signal::INT).unwrap();
        assert_eq!(self.owner.wait().unwrap().code(), Some(0));
        let started = Instant::now();
        let left = || {
            let listening =
                self.addresses.iter().filter(|address| TcpStream::connect(address.as_str()).is_ok());
            (self.folder.exists(), listening.count())
        };
        while left() != (false, 0) {
            assert!(started.elapsed() < LIMIT, "{} or {:?} is left", self.folder.display(), self.addresses);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Printed {
    fn drop(&mut self) {
        // After a test that failed: the world's guard takes the rest away.
        let _ = self.owner.kill();
        let _ = self.owner.wait();
    }
}

/// What was said to `who` when typing something that holds `part`.
#[track_caller]
fn said<'a>(told: &'a [(String, String, String)], who: &str, part: &str) -> &'a str {
    let line = told.iter().find(|(name, command, _)| name == who && command.contains(part));
    &line.unwrap_or_else(|| panic!("{who} types no {part:?}: {told:#?}")).2
}

#[test]
fn what_dev_prints_can_be_typed_as_it_stands() {
    let mut world = Printed::by(&["dev"]);
    let told = world.type_everything();
    assert!(said(&told, "bob", "3pm approve").contains("is in force"), "{told:#?}");
    assert!(said(&told, "carol", "3pm approve").contains("is recorded on chain"), "{told:#?}");
    let installed = said(&told, "user", "3pm install");
    assert!(installed.contains("kind-words@1.1.0  signed by 2 members"), "{installed}");
    assert!(said(&told, "mallory", "npm whoami").contains("alice"), "{told:#?}");
    world.ends_without_a_trace();
}

#[test]
fn what_the_demo_prints_at_its_end_can_be_typed_as_it_stands() {
    let mut world = Printed::by(&["demo", "--keep"]);
    let told = world.type_everything();
    assert!(said(&told, "carol", "3pm approve").contains("is recorded on chain"), "{told:#?}");
    let verified = said(&told, "bob", "3pm verify");
    assert!(verified.contains("kind-words@2.0.0  signed by 2 members"), "{verified}");
    let installed = said(&told, "user", "3pm install");
    assert!(installed.contains("kind-words@2.0.0  signed by 2 members"), "{installed}");
    assert!(said(&told, "mallory", "npm whoami").contains("alice"), "{told:#?}");
    world.ends_without_a_trace();
}
