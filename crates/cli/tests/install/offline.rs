//! Where neither the chain nor the registry answers: a repeated install out of caches, compared with tarballs that were
//! checked before, signed ones included.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::clients::{Client, WITH_MODULES};
use crate::harness::people::{Ended, Person};
use crate::harness::proxy::{self, Request, Upstream};
use crate::harness::world::World;
use crate::project::Project;
use crate::public::{CLOSED, fresh_block, honest, user_of_base};
use crate::shelf::{ask, stock};
use crate::sieges::signed;

/// The world's registry, until it is cut off.
fn registry(world: &World) -> (String, Arc<AtomicBool>) {
    let there = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&there);
    let url = proxy::start(world.registry(), move |request: &Request, upstream: &Upstream| {
        seen.load(Ordering::SeqCst).then(|| ask(upstream, request)).flatten()
    });
    (url, there)
}

/// A home of its own: nothing that another project brought is at hand.
fn home(world: &World, client: Client) -> std::path::PathBuf {
    world.new_folder(&format!("homes/off-{client:?}").to_lowercase())
}

fn user(world: &World, client: Client, project: &Project, registry: &str, rpc: &str) -> Person {
    let user = client.user_of(world, project, registry).with("THREEPM_RPC_URL", rpc);
    user.with("THREEPM_HOME", home(world, client).display().to_string())
}

fn install(world: &World, client: Client, project: &Project, registry: &str, rpc: &str) -> Ended {
    let words = ["run-with", client.command(), "--json", "--", "install"];
    user(world, client, project, registry, rpc).threepm(words)
}

#[test]
fn a_repeated_install_needs_no_network_at_all() {
    let world = World::shared();
    signed(world, "off-signed");
    stock(world, "off-unsigned", "1.0.0", "good");
    let asks = || json!({"off-signed": "1", "off-unsigned": "1"});
    // yarn 1 takes nothing from its cache without asking, unless a project keeps a mirror for it.
    let clients = WITH_MODULES.into_iter().filter(|client| *client != Client::YarnClassic);
    for client in clients.chain([Client::YarnPnp]) {
        let (registry, there) = registry(world);
        let mut project = Project::asking(world, &format!("off-{client:?}").to_lowercase(), asks());
        project.user = user_of_base(world, &project, &honest(world));
        fresh_block(world);
        install(world, client, &project, &registry, &honest(world)).succeeded();
        let lockfile = project.read(client.lockfile());

        there.store(false, Ordering::SeqCst);
        for left in ["node_modules", ".pnp.cjs"] {
            let left = project.root.join(left);
            let _ = std::fs::remove_dir_all(&left).or_else(|_| std::fs::remove_file(&left));
        }
        let report = install(world, client, &project, &registry, CLOSED).succeeded().json();
        let receipt = &report["end"]["receipt"];
        assert_eq!((&receipt["installed"], &receipt["compared"]), (&json!(2), &json!(2)), "{client:?}");
        assert!(report["offline"]["time"].as_u64().is_some(), "{client:?}: {report:#}");
        assert!(report.to_string().contains("Verified"), "{client:?}: {report:#}");
        assert_eq!(project.read(client.lockfile()), lockfile, "{client:?}");
        if client == Client::Npm {
            let user = user(world, client, &project, &registry, CLOSED);
            user.threepm(["verify"]).succeeded().says(&["Verified", "Offline"]);
        }

        // What is kept is hashed again, and what is not there is not made up.
        for tarball in std::fs::read_dir(home(world, client).join("signed")).expect("tarballs").flatten() {
            std::fs::write(tarball.path(), "other").expect("a file");
        }
        std::fs::remove_dir_all(project.root.join("node_modules")).ok();
        let before = project.contents();
        let ended = install(world, client, &project, &registry, CLOSED).refused();
        assert_eq!(project.contents(), before, "{client:?}: {ended}");

        // A registry that is down while the chain answers is said to be.
        fresh_block(world);
        install(world, client, &project, &registry, &honest(world)).ended_with(1).says(&["the npm registry"]);
    }
}
