//! A tree as npm leaves it, and each step broken alone.

use serde_json::json;

use super::super::entries::{Registries, Registry, check_entries};
use super::*;

#[derive(Debug)]
struct OneRegistry;

impl Registry for OneRegistry {
    fn registry_url(&self, _: &trust::PackageName) -> url::Url {
        "https://registry.example/".parse().unwrap()
    }
}

struct Tree {
    _holder: tempfile::TempDir,
    root: PathBuf,
    text: String,
    lockfile: Lockfile,
    checked: Checked,
    files: BTreeMap<String, Arc<Files>>,
}

fn sha256(bytes: &[u8]) -> B256 {
    B256::from_slice(&Sha256::digest(bytes))
}

/// `a` with a command and a bundled package, `a/node_modules/c` of its own, the alias `b`, a workspace.
fn tree() -> Tree {
    let hash = trust::Integrity::of(b"").to_string();
    let packages = json!({
        "": {"name": "app"},
        "node_modules/a": {"version": "1.0.0", "resolved": "https://registry.example/a/-/a-1.0.0.tgz", "integrity": hash},
        "node_modules/a/node_modules/bundled": {"version": "1.0.0", "inBundle": true},
        "node_modules/a/node_modules/c": {"version": "2.0.0", "resolved": "https://registry.example/c/-/c-2.0.0.tgz", "integrity": hash},
        "node_modules/@s/b": {"name": "real", "version": "3.0.0", "resolved": "https://registry.example/real/-/real-3.0.0.tgz", "integrity": hash},
        "node_modules/w": {"link": true, "resolved": "packages/w"},
        "packages/w": {"version": "1.0.0"},
    });
    let holder = tempfile::tempdir().unwrap();
    let root = holder.path().canonicalize().unwrap();
    let text = json!({"lockfileVersion": 3, "packages": packages}).to_string();
    let mut hidden = packages;
    hidden.as_object_mut().unwrap().remove("");
    for (path, content) in [
        ("package-lock.json", text.as_str()),
        ("node_modules/.package-lock.json", &json!({"lockfileVersion": 3, "packages": hidden}).to_string()),
        ("node_modules/a/package.json", r#"{"name": "a", "version": "1.0.0"}"#),
        ("node_modules/a/cli.js", "#!/usr/bin/env node\nx\r\n"),
        ("node_modules/a/.npmignore", "from .gitignore"),
        ("node_modules/a/node_modules/bundled/package.json", r#"{"name": "bundled"}"#),
        ("node_modules/a/node_modules/c/package.json", r#"{"name": "c", "version": "2.0.0"}"#),
        ("node_modules/@s/b/package.json", r#"{"name": "real", "version": "v3.0.0"}"#),
        ("packages/w/package.json", r#"{"name": "w"}"#),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    for (link, target) in [
        ("node_modules/w", "../packages/w"),
        ("node_modules/.bin/a", "../a/cli.js"),
        ("node_modules/a/node_modules/.bin/c", "../c/cli.js"),
    ] {
        fs::create_dir_all(root.join(link).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, root.join(link)).unwrap();
    }
    let cli = b"#!/usr/bin/env node\r\nx\r\n";
    let tarball = BTreeMap::from([
        ("package.json".to_owned(), sha256(br#"{"name": "a", "version": "1.0.0"}"#)),
        ("cli.js".to_owned(), sha256(cli)),
        (".gitignore".to_owned(), sha256(b"from .gitignore")),
        ("node_modules/bundled/package.json".to_owned(), sha256(br#"{"name": "bundled"}"#)),
    ]);
    let fixed = BTreeMap::from([("cli.js".to_owned(), sha256(&fixed_first_line(cli).unwrap()))]);
    let files = BTreeMap::from([("node_modules/a".to_owned(), Arc::new(files_on_disk(&tarball, &fixed)))]);
    let lockfile = parse_lockfile(&text).unwrap();
    let project = json!({"dependencies": {"@s/b": "npm:real@3"}});
    let checked = check_entries(&lockfile, &project, &Registries { configured: &OneRegistry, builtin: None });
    assert!(checked.values().all(Result::is_ok), "{checked:?}");
    Tree { _holder: holder, root, text, lockfile, checked, files }
}

impl Tree {
    fn verify(&self) -> Result<Receipt, UnpackedError> {
        verify_unpacked(&Expected {
            root: &self.root,
            lockfile_path: &self.root.join("package-lock.json"),
            lockfile_text: &self.text,
            lockfile: &self.lockfile,
            checked: &self.checked,
            files: &self.files,
        })
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn edit_list(&self, location: &str, edit: impl FnOnce(&mut Value)) {
        let path = self.root.join("node_modules/.package-lock.json");
        let mut list: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut list["packages"][location]);
        fs::write(path, list.to_string()).unwrap();
    }
}

#[test]
fn a_tree_as_npm_leaves_it_passes() {
    let receipt = tree().verify().unwrap();
    assert_eq!((receipt.installed, receipt.compared), (5, 1), "{receipt:?}");
    assert_eq!(receipt.left_out, [""; 0]);
}

#[test]
fn what_npm_left_out_is_named() {
    let tree = tree();
    fs::remove_dir_all(tree.root.join("node_modules/@s")).unwrap();
    assert_eq!(tree.verify().unwrap().left_out, ["node_modules/@s/b"]);
}

#[test]
fn step_1_the_lockfile_is_byte_for_byte_the_checked_one() {
    let tree = tree();
    tree.write("package-lock.json", &format!("{}\n", tree.text));
    assert!(matches!(tree.verify(), Err(UnpackedError::Lockfile { .. })));
}

#[test]
fn step_2_npms_own_list_names_checked_entries_unchanged() {
    for edit in [
        |entry: &mut Value| entry["version"] = json!("6.6.6"),
        |entry: &mut Value| entry["integrity"] = json!(trust::Integrity::of(b"evil").to_string()),
        |entry: &mut Value| entry["integrity"] = Value::Null,
        |entry: &mut Value| entry["name"] = json!("evil"),
        |entry: &mut Value| entry["link"] = json!(true),
    ] {
        let tree = tree();
        tree.edit_list("node_modules/a", edit);
        assert!(matches!(tree.verify(), Err(UnpackedError::Listed { .. })));
    }
    let tree = tree();
    tree.edit_list("node_modules/extra", |entry| *entry = json!({"version": "1.0.0"}));
    assert!(matches!(tree.verify(), Err(UnpackedError::Listed { .. })));
}

#[test]
fn step_3_nothing_is_on_disk_that_is_not_an_entry() {
    for path in [
        "node_modules/extra/package.json",
        "node_modules/@s/extra/package.json",
        "node_modules/.extra/x",
        "node_modules/file",
    ] {
        let tree = tree();
        tree.write(path, "{}");
        assert!(matches!(tree.verify(), Err(UnpackedError::Unknown { .. })), "{path}");
    }
    let tree = tree();
    fs::remove_file(tree.root.join("node_modules/w")).unwrap();
    std::os::unix::fs::symlink("/", tree.root.join("node_modules/w")).unwrap();
    assert!(matches!(tree.verify(), Err(UnpackedError::Unknown { .. })));
    let tree = self::tree();
    fs::remove_dir_all(tree.root.join("node_modules/@s/b")).unwrap();
    std::os::unix::fs::symlink("../../packages/w", tree.root.join("node_modules/@s/b")).unwrap();
    assert!(matches!(tree.verify(), Err(UnpackedError::Unknown { .. })));
}

#[test]
fn step_4_a_folder_holds_the_package_and_version_of_its_entry() {
    for content in
        [r#"{"name": "evil", "version": "3.0.0"}"#, r#"{"name": "real", "version": "3.0.1"}"#, "{}", "x"]
    {
        let tree = tree();
        tree.write("node_modules/@s/b/package.json", content);
        assert!(matches!(tree.verify(), Err(UnpackedError::Identity { .. })), "{content}");
    }
    let tree = tree();
    fs::remove_file(tree.root.join("node_modules/@s/b/package.json")).unwrap();
    assert!(matches!(tree.verify(), Err(UnpackedError::Io { .. })));
}

#[test]
fn step_5_a_read_tarball_is_compared_file_by_file() {
    for (path, content) in [
        ("node_modules/a/cli.js", "#!/usr/bin/env node\nevil\r\n"),
        ("node_modules/a/extra.js", "x"),
        ("node_modules/a/sub/extra.js", "x"),
        ("node_modules/a/node_modules/bundled/package.json", "{}"),
        ("node_modules/a/node_modules/shadow/index.js", "x"),
        ("node_modules/a/.npmignore", "x"),
        ("node_modules/a/.gitignore", "from .gitignore"),
    ] {
        let tree = tree();
        tree.write(path, content);
        assert!(matches!(tree.verify(), Err(UnpackedError::File { .. })), "{path}");
    }
    let tree = tree();
    fs::remove_file(tree.root.join("node_modules/a/cli.js")).unwrap();
    assert!(matches!(tree.verify(), Err(UnpackedError::File { .. })));
    std::os::unix::fs::symlink("/bin/sh", tree.root.join("node_modules/a/cli.js")).unwrap();
    assert!(matches!(tree.verify(), Err(UnpackedError::File { .. })));
}

#[test]
fn only_a_first_line_in_the_windows_manner_is_rewritten() {
    let fixed = |text: &str| fixed_first_line(text.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(fixed("#!/bin/sh\r\na\r\n").as_deref(), Some("#!/bin/sh\na\r\n"));
    assert_eq!(fixed("#!/bin/sh\na\r\n"), None);
    assert_eq!(fixed("a\r\n"), None);
    assert_eq!(fixed("#!/bin/sh\r"), None);
    assert_eq!(fixed(&format!("#!{}\r\n", "x".repeat(3000))), None);
}
