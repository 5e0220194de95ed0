//! A user's project in a test, and what lies in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::people::{Ended, Person};
use crate::harness::world::World;

/// A project, and the user who stands in it.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its folder.
    pub root: PathBuf,
    /// Who works in it.
    pub user: Person,
}

impl Project {
    /// An empty one.
    pub fn new(world: &World, name: &str) -> Self {
        let root = world.new_folder(&format!("projects/{name}"));
        Self { user: world.person("user").at(&root), root }
    }

    /// One that asks for `dependencies`.
    pub fn asking(world: &World, name: &str, dependencies: Value) -> Self {
        let project = Self::new(world, name);
        project.write(
            "package.json",
            &json!({"name": name, "version": "1.0.0", "dependencies": dependencies}).to_string(),
        );
        project
    }

    /// `3pm install` with these arguments.
    pub fn install(&self, arguments: &[&str]) -> Ended {
        self.user.threepm(["install"].iter().chain(arguments))
    }

    /// Writes a file.
    pub fn write(&self, path: &str, content: &str) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }

    /// Reads a file.
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Whether something is there.
    pub fn has(&self, path: &str) -> bool {
        self.root.join(path).symlink_metadata().is_ok()
    }

    /// Changes the lockfile's entry at `location`.
    pub fn edit_lockfile(&self, change: impl FnOnce(&mut Value)) {
        let mut lockfile: Value = serde_json::from_str(&self.read("package-lock.json")).expect("JSON");
        change(&mut lockfile["packages"]);
        self.write("package-lock.json", &lockfile.to_string());
    }

    /// Every path in the project with its content: what must be the same after a refusal.
    pub fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        collect(&self.root, &mut found);
        found
    }
}

fn collect(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
        if kind.is_dir() {
            found.insert(path.clone(), Vec::new());
            collect(&path, found);
        } else if kind.is_symlink() {
            let target = std::fs::read_link(&path).expect("a link");
            found.insert(path, target.into_os_string().into_encoded_bytes());
        } else {
            found.insert(path.clone(), std::fs::read(&path).expect("a file"));
        }
    }
}
