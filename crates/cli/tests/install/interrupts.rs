//! `3pm run-with` ended in the middle, by Ctrl-C and by `kill -9`, at several moments: afterwards the project is as
//! before or complete, nothing listens, and nothing that was started still runs. And while it runs, nobody else is
//! served.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;

use crate::clients::Client;
use crate::harness::people::Person;
use crate::harness::proxy::{self, Request, Upstream};
use crate::harness::world::{BINARY, World};
use crate::project::Project;
use crate::shelf::stock;

/// One of each kind: what is ended is the same for every version.
const CLIENTS: [Client; 5] = [Client::Npm, Client::Pnpm, Client::YarnClassic, Client::Yarn, Client::Bun];

/// No process: the tripwire lets everything through.
const NOBODY: i32 = -1;

/// An address where nobody listens.
const CLOSED: &str = "http://127.0.0.1:1/";

/// What comes to an end within this time has come to an end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the project's own script does once it is told whom to end. The number after `-` is a group's.
const SCRIPT: &str =
    "if [ -f victim ]; then echo $$ > stopped; kill -SIGNAL -$(cat victim); exec sleep 600; fi\n";

/// When it is ended.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    /// While 3pm looks whether the registry is there.
    Ping,
    /// While the package manager waits for a document.
    Document,
    /// While it waits for a tarball.
    Tarball,
    /// While the project's own script runs.
    Script,
}

/// What 3pm had started and opened when it was ended.
#[derive(Debug, Default)]
struct Seen {
    processes: Vec<u32>,
    ports: Vec<u16>,
}

/// One interrupted run.
struct Interrupted {
    client: Client,
    project: Project,
    registry: String,
    before: BTreeMap<PathBuf, Vec<u8>>,
    status: ExitStatus,
    words: String,
    seen: Seen,
}

fn interrupted(world: &World, client: Client, moment: Moment, signal: Signal) -> Interrupted {
    let how = if signal == Signal::INT { "INT" } else { "KILL" };
    let name = format!("stop-{client:?}-{moment:?}-{how}").to_lowercase();
    let project = Project::new(world, &name);
    let manifest = |dependencies, scripts| {
        let manifest =
            json!({"name": "stop", "version": "1.0.0", "dependencies": dependencies, "scripts": scripts});
        project.write("package.json", &manifest.to_string());
    };
    project.write("stop.sh", &SCRIPT.replace("SIGNAL", how));
    // No script yet: yarn 4 on a busy machine now and then starts one before the log that it gives it is open.
    manifest(json!({"stop-before": "1"}), json!({}));
    let (victim, seen) = (Arc::new(AtomicI32::new(NOBODY)), Arc::new(Mutex::new(Seen::default())));
    let registry = tripwire(world, moment, signal, &victim, &seen);
    let user = user(client, world, &project, &registry);
    user.program(client.command(), ["install"]).succeeded();
    manifest(json!({"stop-before": "1", "stop-after": "1"}), json!({"postinstall": "sh ./stop.sh"}));
    let before = contents(&project);
    victim.store(0, Ordering::SeqCst);
    let words = project.root.with_extension("words");
    let mut child = start(&user, client, &words);
    let id = child.id().cast_signed();
    project.write("victim", &id.to_string());
    victim.store(id, Ordering::SeqCst);
    let status = child.wait().expect("it ends");
    victim.store(NOBODY, Ordering::SeqCst);
    let words = std::fs::read_to_string(words).expect("what it said");
    let mut seen = std::mem::take(&mut *seen.lock().expect("no panic"));
    if moment == Moment::Script {
        let id = std::fs::read_to_string(project.root.join("stopped")).unwrap_or_default();
        let id = id.trim().parse().unwrap_or_else(|_| panic!("{name}: the script did not run: {words}"));
        seen.processes.push(id);
    }
    for left in ["victim", "stopped"] {
        let _ = std::fs::remove_file(project.root.join(left));
    }
    Interrupted { client, project, registry, before, status, words, seen }
}

/// In a group of its own, as in a terminal. What it says goes to a file: a pipe would stay open for as long as
/// anything that it started runs.
fn start(user: &Person, client: Client, words: &Path) -> Child {
    let words = std::fs::File::create(words).expect("a file");
    let mut command = user.command(BINARY);
    command.args(["run-with", client.command(), "--", "install"]).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(words).spawn().expect("3pm")
}

/// The world's registry, which ends the victim at a moment and says no more to whoever asked then.
fn tripwire(
    world: &World,
    moment: Moment,
    signal: Signal,
    victim: &Arc<AtomicI32>,
    seen: &Arc<Mutex<Seen>>,
) -> String {
    let (victim, seen) = (Arc::clone(victim), Arc::clone(seen));
    proxy::start(world.registry(), move |request: &Request, upstream: &Upstream| {
        let fires = match moment {
            Moment::Ping => request.path == "/-/ping",
            Moment::Document => request.path == "/stop-after",
            Moment::Tarball => request.path.ends_with("/stop-after-1.0.0.tgz"),
            Moment::Script => false,
        };
        if !fires || victim.load(Ordering::SeqCst) == NOBODY {
            return upstream.ask(request);
        }
        let id = loop {
            match victim.load(Ordering::SeqCst) {
                0 => std::thread::sleep(Duration::from_millis(5)),
                id => break id,
            }
        };
        if let Ok(mut seen) = seen.lock()
            && seen.processes.is_empty()
        {
            *seen = Seen { processes: descendants(id.cast_unsigned()), ports: listening(id.cast_unsigned()) };
        }
        let _ = kill_process_group(Pid::from_raw(id).expect("a process id"), signal);
        // The answer stays out for as long as anybody waits for it.
        std::thread::sleep(PATIENCE);
        None
    })
}

/// What is in the project, but for the files that tell a test's script whom to end.
fn contents(project: &Project) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut contents = project.contents();
    contents.retain(|path, _| !path.ends_with("victim") && !path.ends_with("stopped"));
    contents
}

/// Every process below this one.
fn descendants(of: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("Linux").flatten();
    let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> = processes.filter_map(|id| Some((id, stat(id)?.1))).collect();
    let mut found = vec![of];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id));
        at += 1;
    }
    found.split_off(1)
}

/// State and parent of a process.
fn stat(id: u32) -> Option<(char, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// The ports on which a process listens.
fn listening(id: u32) -> Vec<u16> {
    let sockets = std::fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten();
    let sockets: Vec<String> = sockets
        .filter_map(|entry| std::fs::read_link(entry.path()).ok()?.into_os_string().into_string().ok())
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    // Local address, state (0A is listening) and inode.
    rows.filter(|row| row.len() > 9 && row[3] == "0A" && sockets.iter().any(|socket| socket == row[9]))
        .filter_map(|row| u16::from_str_radix(row[1].rsplit(':').next()?, 16).ok())
        .collect()
}

/// Its user, with a temporary folder that nobody else has.
fn user(client: Client, world: &World, project: &Project, registry: &str) -> Person {
    let temporary = project.root.with_extension("tmp");
    std::fs::create_dir_all(&temporary).expect("a folder");
    client.user_of(world, project, registry).with("TMPDIR", temporary.display().to_string())
}

impl Interrupted {
    fn user(&self, world: &World, registry: &str) -> Person {
        user(self.client, world, &self.project, registry)
    }

    /// No temporary folder of ours; what package managers keep there is theirs.
    fn nothing_is_left(&self) {
        let entries = std::fs::read_dir(self.project.root.with_extension("tmp")).expect("a folder");
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let left: Vec<String> = names.filter(|name| name.contains("3pm")).collect();
        assert!(left.is_empty(), "{left:?}: {}", self.says());
    }

    fn says(&self) -> String {
        format!("{:?}: {}", self.client, self.words)
    }

    /// The proxy's port is closed.
    fn nothing_listens(&self) {
        for port in &self.seen.ports {
            assert!(TcpStream::connect(("127.0.0.1", *port)).is_err(), "{port}: {}", self.says());
        }
    }

    /// What it had started is gone, or goes now.
    fn nothing_runs(&self) {
        let begun = Instant::now();
        for id in &self.seen.processes {
            while stat(*id).is_some_and(|(state, _)| state != 'Z') {
                let command = std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
                assert!(begun.elapsed() < PATIENCE, "{command} still runs: {}", self.says());
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    fn is_as_before(&self) {
        let now = contents(&self.project);
        let differs = |path: &&PathBuf| now.get(*path) != self.before.get(*path);
        let differing: Vec<&Path> =
            now.keys().chain(self.before.keys()).filter(differs).map(PathBuf::as_path).collect();
        assert!(differing.is_empty(), "{differing:?}: {}", self.says());
    }
}

fn stocked(world: &World) {
    static STOCKED: std::sync::Once = std::sync::Once::new();
    STOCKED.call_once(|| {
        stock(world, "stop-before", "1.0.0", "before");
        stock(world, "stop-after", "1.0.0", "after");
    });
}

const MOMENTS: [Moment; 4] = [Moment::Ping, Moment::Document, Moment::Tarball, Moment::Script];

#[test]
fn after_ctrl_c_the_project_is_as_before_and_nothing_runs_or_listens() {
    let world = World::shared();
    stocked(world);
    for client in CLIENTS {
        for moment in MOMENTS {
            let run = interrupted(world, client, moment, Signal::INT);
            assert_eq!(run.status.code(), Some(130), "{moment:?}: {}", run.says());
            let has_proxy = matches!(moment, Moment::Document | Moment::Tarball);
            assert!(!has_proxy || !run.seen.ports.is_empty() && !run.seen.processes.is_empty(), "{moment:?}");
            run.nothing_listens();
            run.nothing_runs();
            run.is_as_before();
            run.nothing_is_left();
        }
    }
}

#[test]
fn after_kill_9_the_next_run_ends_what_was_left_and_puts_the_project_back_or_completes_it() {
    let world = World::shared();
    stocked(world);
    for client in CLIENTS {
        for moment in MOMENTS {
            let run = interrupted(world, client, moment, Signal::KILL);
            assert_eq!(run.status.code(), None, "{moment:?}: {}", run.says());
            run.nothing_listens();
            // One that cannot install anything still puts back what it found.
            let user = run.user(world, CLOSED);
            let ended = user.threepm(["run-with", client.command(), "--", "install"]).ended_with(1);
            if moment != Moment::Ping {
                ended.says(&["an earlier install was interrupted"]);
            }
            run.nothing_runs();
            run.is_as_before();
            let user = run.user(world, &run.registry);
            user.threepm(["run-with", client.command(), "--", "install"]).succeeded();
            assert_eq!(
                run.project.read("node_modules/stop-after/index.js"),
                "after",
                "{client:?} {moment:?}"
            );
            assert!(!run.project.has(".3pm-install"), "{client:?} {moment:?}");
            run.nothing_is_left();
        }
    }
}

#[test]
fn another_process_that_finds_the_port_of_a_run_is_not_served() {
    let world = World::shared();
    stock(world, "stop-stranger", "1.0.0", "stranger");
    for client in CLIENTS {
        let project = Project::asking(
            world,
            &format!("stop-stranger-{client:?}").to_lowercase(),
            json!({"stop-stranger": "1"}),
        );
        let run = Arc::new(AtomicI32::new(0));
        let answers: Arc<Mutex<Vec<String>>> = Arc::default();
        let (pid, heard) = (Arc::clone(&run), Arc::clone(&answers));
        let upstream = world.registry().to_owned();
        let registry = proxy::start(world.registry(), move |request: &Request, to: &Upstream| {
            if request.path.ends_with("/stop-stranger-1.0.0.tgz") {
                for port in listening(pid.load(Ordering::SeqCst).cast_unsigned()) {
                    for line in [format!("GET {upstream}stop-stranger"), "CONNECT 127.0.0.1:1".to_owned()] {
                        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
                        write!(stream, "{line} HTTP/1.1\r\nHost: x\r\n\r\n").expect("written");
                        let mut first = String::new();
                        BufReader::new(stream).read_line(&mut first).expect("an answer");
                        heard.lock().expect("no panic").push(first);
                    }
                }
            }
            to.ask(request)
        });
        let words = project.root.with_extension("words");
        let mut child = start(&client.user_of(world, &project, &registry), client, &words);
        run.store(child.id().cast_signed(), Ordering::SeqCst);
        let status = child.wait().expect("it ends");
        assert!(status.success(), "{client:?}: {}", std::fs::read_to_string(words).expect("what it said"));
        let answers = answers.lock().expect("no panic");
        assert!(answers.len() >= 2, "{client:?}: {answers:?}");
        assert!(answers.iter().all(|first| first.starts_with("HTTP/1.1 407 ")), "{client:?}: {answers:?}");
    }
}
