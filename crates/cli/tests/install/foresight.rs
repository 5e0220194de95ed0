//! Documents and tarballs are fetched before npm asks for them, and what comes of it is what npm alone would have made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::clients::Client;
use crate::harness::proxy::{self, Request, Upstream};
use crate::harness::world::World;
use crate::project::Project;
use crate::shelf::{ask, put, stock, tarball};

/// The world's registry as from far away, and what was asked of it.
struct Far {
    url: String,
    most_at_once: Arc<AtomicUsize>,
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
    /// When it sent the first tarball.
    sent: Arc<Mutex<Option<Instant>>>,
}

impl Far {
    fn of(world: &World) -> Self {
        Self::with_tarballs_after(world, Duration::from_millis(200))
    }

    fn with_tarballs_after(world: &World, delay: Duration) -> Self {
        let sent = Arc::<Mutex<Option<Instant>>>::default();
        let first = Arc::clone(&sent);
        let (open, most_at_once) = (AtomicUsize::new(0), Arc::<AtomicUsize>::default());
        let asked = Arc::<Mutex<BTreeMap<String, usize>>>::default();
        let (most, list) = (Arc::clone(&most_at_once), Arc::clone(&asked));
        let (registry, own) = (world.registry().to_owned(), Arc::<OnceLock<String>>::default());
        let itself = Arc::clone(&own);
        let url = proxy::start(world.registry(), move |request: &Request, upstream: &Upstream| {
            *list.lock().expect("a list").entry(request.path.clone()).or_default() += 1;
            most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let is_tarball = request.path.ends_with(".tgz");
            std::thread::sleep(if is_tarball { delay } else { Duration::from_millis(200) });
            if is_tarball {
                first.lock().expect("a time").get_or_insert_with(Instant::now);
            }
            let mut answer = ask(upstream, request)?;
            open.fetch_sub(1, Ordering::SeqCst);
            // It speaks of itself where it speaks of tarballs.
            if let (Some(own), Ok(text)) = (itself.get(), std::str::from_utf8(&answer.body)) {
                answer.body = text.replace(&registry, own).into_bytes();
            }
            Some(answer)
        });
        own.set(url.clone()).expect("set once");
        Self { url, most_at_once, asked, sent }
    }

    fn asked_for(&self, path: &str) -> usize {
        self.asked.lock().expect("a list").get(path).copied().unwrap_or(0)
    }
}

/// `f-1` to `f-6`, where `f` is the prefix, and each of those needs one more; `f-other` is nobody's.
fn stocked(world: &World, prefix: &str) -> Value {
    let six = 1..=6;
    let needs =
        |names: Vec<String>| Value::Object(names.into_iter().map(|name| (name, json!("^1.0.0"))).collect());
    for number in six.clone() {
        stock(world, &format!("{prefix}-leaf-{number}"), "1.0.0", "1");
        let name = format!("{prefix}-{number}");
        let manifest = json!({"name": name, "version": "1.0.0", "dependencies": needs(vec![format!("{prefix}-leaf-{number}")])});
        put(world, &world.person("alice"), &manifest, &tarball(&manifest, &[("index.js", "1")]));
    }
    stock(world, &format!("{prefix}-other"), "1.0.0", "1");
    needs(six.map(|number| format!("{prefix}-{number}")).collect())
}

#[test]
fn npm_waits_for_one_document_and_not_for_one_after_the_other() {
    let world = World::shared();
    let dependencies = stocked(world, "f");
    let plain = Project::asking(world, "foresight-plain", dependencies.clone());
    plain.user.npm(["install"]).succeeded();
    for command in [&["install"][..], &["run-with", "npm", "--", "install"]] {
        let far = Far::of(world);
        let project = Project::asking(world, &format!("foresight-{}", command[0]), dependencies.clone());
        project.write("package.json", &plain.read("package.json"));
        Client::Npm.user_of(world, &project, &far.url).threepm(command).succeeded();
        assert!(far.most_at_once.load(Ordering::SeqCst) >= 4, "{command:?}: {:?}", far.asked);
        for path in ["/f-1", "/f-6", "/f-leaf-3"] {
            assert_eq!(far.asked_for(path), 1, "{command:?}: {path}: {:?}", far.asked);
        }
        assert_eq!(far.asked_for("/f-other"), 0);
        let lockfile = project.read("package-lock.json").replace(&far.url, world.registry());
        assert_eq!(lockfile, plain.read("package-lock.json"), "{command:?}");
        // What the lockfile names is not asked for again.
        std::fs::remove_dir_all(project.root.join("node_modules")).expect("a folder");
        Client::Npm.user_of(world, &project, &far.url).threepm(command).succeeded();
        assert_eq!(far.asked_for("/f-leaf-3"), 1, "{command:?}: {:?}", far.asked);
    }
}

/// The hashes of what lies in npm's cache, and how many answers it remembers.
fn kept_by_npm(project: &Project) -> (BTreeSet<String>, usize) {
    let cache = project.root.with_extension("home").join("npm/_cacache");
    let content = cache.join("content-v2/sha512");
    let found = files_below(&content);
    let hash = |path: &PathBuf| {
        path.strip_prefix(&content)
            .expect("below")
            .components()
            .map(|part| part.as_os_str().to_string_lossy())
            .collect()
    };
    (found.iter().map(hash).collect(), files_below(&cache.join("index-v5")).len())
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files_below(&path)),
            path => found.push(path),
        }
    }
    found
}

#[test]
fn what_the_lockfile_names_lies_in_npms_cache_before_npm_asks() {
    let world = World::shared();
    let dependencies = stocked(world, "g");
    let far = Far::of(world);
    let project = Project::asking(world, "foresight-laid-out", dependencies);
    let user = Client::Npm.user_of(world, &project, &far.url);
    user.npm(["install", "--package-lock-only"]).succeeded();
    std::fs::remove_dir_all(project.root.with_extension("home").join("npm")).expect("a folder");
    user.threepm(["ci"]).succeeded();
    let (content, answers) = kept_by_npm(&project);
    assert_eq!(content.len(), 12, "{content:?}");
    // What npm fetches itself it also remembers as an answer.
    assert!(answers < 12, "npm asked for all of them");
    let tarballs = || (1..=6).flat_map(|number| [format!("g-{number}"), format!("g-leaf-{number}")]);
    for path in tarballs().map(|name| format!("/{name}/-/{name}-1.0.0.tgz")) {
        assert_eq!(far.asked_for(&path), 1, "{path}: {:?}", far.asked);
    }
    // It is npm's own cache: npm alone finds it there.
    std::fs::remove_dir_all(project.root.join("node_modules")).expect("a folder");
    user.npm(["ci", "--offline"]).succeeded();
    assert!(project.has("node_modules/g-leaf-6/index.js"));
}

#[test]
fn what_npm_leaves_out_is_not_fetched() {
    let world = World::shared();
    for name in ["h-used", "h-dev"] {
        stock(world, name, "1.0.0", "1");
    }
    let far = Far::of(world);
    let project = Project::asking(world, "foresight-less", json!({"h-used": "1.0.0"}));
    let mut manifest: Value = serde_json::from_str(&project.read("package.json")).expect("JSON");
    manifest["devDependencies"] = json!({"h-dev": "1.0.0"});
    project.write("package.json", &manifest.to_string());
    let user = Client::Npm.user_of(world, &project, &far.url);
    user.npm(["install", "--package-lock-only"]).succeeded();
    let tarballs = || ["h-used", "h-dev"].map(|name| far.asked_for(&format!("/{name}/-/{name}-1.0.0.tgz")));
    // A lockfile alone needs none of them; with less than all of it, those for users.
    user.threepm(["install", "--package-lock-only"]).succeeded();
    assert_eq!(tarballs(), [0, 0]);
    user.threepm(["ci", "--omit=dev"]).succeeded();
    assert_eq!(tarballs(), [1, 0]);
    user.clone().with("NODE_ENV", "production").threepm(["ci"]).succeeded();
    assert_eq!(tarballs(), [1, 0]);
    user.threepm(["ci"]).succeeded();
    assert_eq!(tarballs(), [1, 1]);
}

#[test]
fn what_is_refused_lies_in_no_cache() {
    let world = World::shared();
    // npm reads the first gzip member and another reader both.
    let manifest = json!({"name": "f-twofold", "version": "1.0.0"});
    let tarball =
        [tarball(&manifest, &[("index.js", "1")]), tarball(&manifest, &[("index.js", "2")])].concat();
    put(world, &world.person("alice"), &manifest, &tarball);
    let project = Project::asking(world, "foresight-refused", json!({"f-twofold": "1.0.0"}));
    let user = Client::Npm.user(world, &project);
    user.npm(["install", "--package-lock-only"]).succeeded();
    std::fs::remove_dir_all(project.root.with_extension("home").join("npm")).expect("a folder");
    user.threepm(["ci"]).refused().says(&["a package that every reader reads alike"]);
    assert_eq!(kept_by_npm(&project).0, BTreeSet::new());
    assert!(!project.has("node_modules"));
}

#[test]
fn the_chain_is_asked_about_what_a_lockfile_names_before_any_of_it_is_here() {
    let world = World::shared();
    let dependencies = stocked(world, "h");
    for client in [Client::Npm, Client::Pnpm] {
        let chain = Arc::<Mutex<Vec<Instant>>>::default();
        let asked = Arc::clone(&chain);
        let rpc = proxy::start(world.rpc(), move |request: &Request, upstream: &Upstream| {
            if String::from_utf8_lossy(&request.body).contains("eth_call") {
                asked.lock().expect("a list").push(Instant::now());
            }
            ask(upstream, request)
        });
        let far = Far::with_tarballs_after(world, Duration::from_secs(2));
        let name = format!("foresight-chain-{client:?}").to_lowercase();
        let project = Project::asking(world, &name, dependencies.clone());
        let user = client.user_of(world, &project, &far.url).with("THREEPM_RPC_URL", &rpc);
        let install = ["run-with", client.command(), "--", "install"];
        user.threepm(install).succeeded();
        std::fs::remove_dir_all(project.root.join("node_modules")).expect("a folder");
        for cache in ["npm", "pnpm"] {
            let _ = std::fs::remove_dir_all(project.root.with_extension("home").join(cache));
        }
        chain.lock().expect("a list").clear();
        *far.sent.lock().expect("a time") = None;
        user.threepm(install).succeeded();
        let last = *chain.lock().expect("a list").last().expect("the chain was asked");
        let sent = far.sent.lock().expect("a time").expect("tarballs came");
        assert!(last < sent, "{client:?}: {:?} later", last - sent);
    }
}
