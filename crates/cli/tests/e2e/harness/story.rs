//! Packages on their way through the story: published, registered, owned by a team. Each step is a command
//! that a maintainer types.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use super::people::{Ended, Person};
use super::world::World;

/// A package with a working copy.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its name; no other test uses it.
    pub name: String,
    /// alice's working copy.
    pub folder: PathBuf,
}

impl Package {
    /// A working copy at version 1.0.0 of a package nobody knows yet.
    pub fn new(world: &World, name: &str) -> Self {
        let folder = world.new_folder(&format!("package-{}", name.replace('/', "-")));
        let package = Self { name: name.to_owned(), folder };
        package.write("1.0.0", &json!({}), "module.exports = 1;\n");
        for order in [
            &["init", "--quiet"][..],
            &["config", "user.name", "alice"],
            &["config", "user.email", "alice@localhost"],
            &["config", "commit.gpgsign", "false"],
        ] {
            package.git(order);
        }
        package.commit();
        package
    }

    /// Writes the working copy: a version, more manifest fields, code.
    pub fn write(&self, version: &str, more: &Value, code: &str) {
        let mut manifest = json!({
            "name": self.name, "version": version, "main": "index.js", "files": ["index.js"], "license": "MIT",
        });
        let fields = manifest.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        std::fs::write(self.folder.join("package.json"), format!("{manifest:#}\n")).expect("written");
        std::fs::write(self.folder.join("index.js"), code).expect("written");
    }

    /// Commits everything.
    pub fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--no-verify", "--message", "A change"]);
    }

    fn git(&self, arguments: &[&str]) {
        let mut command = std::process::Command::new("git");
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        assert!(command.status().expect("git").success(), "git {arguments:?}");
    }

    /// The person, standing in the working copy.
    pub fn at(&self, person: Person) -> Person {
        person.at(&self.folder)
    }

    /// `name@version`.
    pub fn release(&self, version: &str) -> String {
        format!("{}@{version}", self.name)
    }

    /// What the registry says of it; `None` when it does not know the name.
    pub fn packument(&self, world: &World) -> Option<Value> {
        let response = super::raw::send(world.registry(), "GET", &self.name.replace('/', "%2f"), None);
        (response.status == 200).then(|| serde_json::from_slice(&response.body).expect("JSON"))
    }

    /// The bytes that the registry serves for a version.
    pub fn served(&self, world: &World, version: &str) -> Option<Vec<u8>> {
        let base = self.name.rsplit('/').next().expect("a name");
        let response =
            super::raw::send(world.registry(), "GET", &format!("{}/-/{base}-{version}.tgz", self.name), None);
        (response.status == 200).then_some(response.body)
    }
}

impl World {
    /// A package of one maintainer, alice: published as 1.0.0 with the proof, and claimed.
    pub fn claimed(&self, name: &str) -> Package {
        self.claimed_with(name, &[])
    }

    /// The same with more arguments of `3pm register`.
    pub fn claimed_with(&self, name: &str, more: &[&str]) -> Package {
        let package = Package::new(self, name);
        let alice = package.at(self.person("alice"));
        let proof = json!({ "_3pm": format!("3pm-verify-{}", alice.address.to_lowercase()) });
        package.write("1.0.0", &proof, "module.exports = 1;\n");
        package.commit();
        alice.npm(["publish"]).succeeded();
        // Only what came out before the second of the claim is from before it.
        std::thread::sleep(std::time::Duration::from_secs(1));
        alice.threepm([&["register", name, "--yes"], more].concat()).succeeded();
        package
    }

    /// A package of alice, bob and carol, two of whom must sign, with alice's npm token handed over.
    pub fn protected(&self, name: &str) -> Package {
        let package = self.claimed(name);
        let alice = package.at(self.person("alice"));
        let (bob, carol) = (self.person("bob"), self.person("carol"));
        let change = alice
            .threepm([
                "team",
                "add",
                name,
                &bob.address,
                &carol.address,
                "--threshold",
                "2",
                "--no-submit",
                "--yes",
                "--json",
            ])
            .succeeded();
        let id = id_of(&change);
        bob.threepm(["approve", &id, "--submit", "--yes"]).succeeded();
        alice.threepm_with_input(["register-token", name], &alice.npm_token()).succeeded();
        package
    }

    /// Proposes `version` of a protected package, signed by alice; returns the proposal's id.
    pub fn propose(&self, package: &Package, version: &str) -> String {
        package.write(version, &json!({}), &format!("module.exports = {version:?};\n"));
        package.commit();
        let alice = package.at(self.person("alice"));
        id_of(&alice.threepm(["publish", "--yes", "--no-submit", "--json"]).succeeded())
    }

    /// Waits until the coordinator says that a proposal is in `state`.
    #[track_caller]
    pub fn wait_for_state(&self, coordinator: &str, id: &str, state: &str) -> Value {
        let started = std::time::Instant::now();
        loop {
            let response = super::raw::send(coordinator, "GET", &format!("v1/proposals/{id}"), None);
            let proposal: Value = serde_json::from_slice(&response.body).expect("JSON");
            if proposal["state"] == state {
                return proposal;
            }
            assert!(started.elapsed().as_secs() < 60, "expected {state}: {proposal:#}");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// A new project of somebody who installs.
    pub fn project(&self, name: &str) -> (Person, PathBuf) {
        let folder = self.new_folder(name);
        std::fs::write(
            folder.join("package.json"),
            "{ \"name\": \"project\", \"version\": \"1.0.0\", \"private\": true }\n",
        )
        .expect("written");
        (self.person("user").at(&folder), folder)
    }
}

/// The id in the JSON of a command that made a proposal or a change.
#[track_caller]
pub fn id_of(ended: &Ended) -> String {
    let document = ended.json();
    let id =
        ["/proposal/id", "/change/id", "/id"].iter().find_map(|pointer| document.pointer(pointer)?.as_str());
    id.unwrap_or_else(|| panic!("no id: {ended}")).to_owned()
}

/// Whether anything of a package is in a project.
pub fn is_installed(project: &Path, package: &Package) -> bool {
    project.join("node_modules").join(&package.name).exists()
}
