//! The programs the local world is made of: anvil and Verdaccio, pinned by `world/package-lock.json`
//! and installed with the user's own npm into a cache folder, once. Does not run them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;
use trust::digest::Hasher;

use super::WorldError;
use crate::output::Output;

const PACKAGE: &str = include_str!("../../../../world/package.json");
const LOCKFILE: &str = include_str!("../../../../world/package-lock.json");
const NPM_CONFIGURATION: &str = include_str!("../../../../world/.npmrc");
const REGISTRY_PROGRAM: &str = include_str!("../../../../world/registry.cjs");

/// Written last: without it a folder is half an installation.
const COMPLETE: &str = "complete";

/// 100 MB over a slow line.
const INSTALL_LIMIT: Duration = Duration::from_secs(15 * 60);

/// How often the wait is mentioned.
const INSTALL_TICK: Duration = Duration::from_secs(10);

/// The oldest Node that Verdaccio 6.8 runs on.
const NODE_MAJOR: u32 = 20;

/// Where the programs are.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    /// The chain node.
    pub(crate) anvil: PathBuf,
    /// Node, for what is written in JavaScript.
    pub(crate) node: PathBuf,
    /// The script that runs the registry.
    pub(crate) registry_program: PathBuf,
}

/// Finds the programs, installing them first where they are not yet.
pub(crate) async fn prepare(cache: &Path, output: Output) -> Result<Parts, WorldError> {
    let node = on_path("node").ok_or(WorldError::MissingProgram { program: "node" })?;
    let npm = on_path("npm").ok_or(WorldError::MissingProgram { program: "npm" })?;
    verify_node(&node).await?;
    let folder = cache.join(fingerprint());
    let failed = |source| WorldError::Folder { path: folder.clone(), source };
    tokio::fs::create_dir_all(&folder).await.map_err(failed)?;
    if !folder.join(COMPLETE).exists() {
        let _lock = lock(&folder, output).await.map_err(failed)?;
        if !folder.join(COMPLETE).exists() {
            install(&npm, &folder, output).await?;
        }
    }
    let shipped = folder.join("node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");
    let anvil = if shipped.exists() { Some(shipped) } else { on_path("anvil") };
    let anvil = anvil.ok_or(WorldError::NoAnvil)?;
    Ok(Parts { anvil, node, registry_program: folder.join("registry.cjs") })
}

/// One folder for each content of the manifests, so that a newer 3pm never runs an older world.
fn fingerprint() -> String {
    let mut hash = Hasher::sha256();
    for text in [PACKAGE, LOCKFILE, NPM_CONFIGURATION, REGISTRY_PROGRAM] {
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    hex::encode(hash.finish()).chars().take(16).collect()
}

async fn lock(folder: &Path, output: Output) -> std::io::Result<File> {
    let file = File::options().create(true).append(true).open(folder.join("lock"))?;
    if file.try_lock().is_err() {
        output.note("another 3pm is installing the local world; waiting for it");
        let waiting = file.try_clone()?;
        tokio::task::spawn_blocking(move || waiting.lock()).await.map_err(std::io::Error::other)??;
    }
    Ok(file)
}

async fn install(npm: &Path, folder: &Path, output: Output) -> Result<(), WorldError> {
    let failed = |source| WorldError::Folder { path: folder.to_owned(), source };
    output.note(&format!(
        "installing anvil 1.7.1 and Verdaccio 6.8.0 with npm into {} (once, about 100 MB)",
        folder.display()
    ));
    for (name, text) in [
        ("package.json", PACKAGE),
        ("package-lock.json", LOCKFILE),
        (".npmrc", NPM_CONFIGURATION),
        ("registry.cjs", REGISTRY_PROGRAM),
    ] {
        tokio::fs::write(folder.join(name), text).await.map_err(failed)?;
    }
    let started = Instant::now();
    // The lockfile's hashes are what makes the cache as good as the network.
    let child = Command::new(npm)
        .args(["ci", "--ignore-scripts", "--include=optional", "--prefer-offline", "--no-audit", "--no-fund"])
        .args(["--no-progress", "--loglevel=error"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| WorldError::Npm { doing: "be started", detail: source.to_string() })?;
    let mut ending = pin!(child.wait_with_output());
    let ended = loop {
        tokio::select! {
            ended = &mut ending => break ended.map_err(failed)?,
            () = tokio::time::sleep(INSTALL_TICK) => {
                if started.elapsed() > INSTALL_LIMIT {
                    return Err(WorldError::Npm { doing: "install the local world", detail: "15 minutes have passed".into() });
                }
                output.note(&format!("still installing, {} s", started.elapsed().as_secs()));
            }
        }
    };
    if !ended.status.success() {
        let detail = trust::text::printable(String::from_utf8_lossy(&ended.stderr).trim(), 2_000);
        return Err(WorldError::Npm { doing: "install the local world", detail });
    }
    tokio::fs::write(folder.join(COMPLETE), "").await.map_err(failed)?;
    output.note(&format!("installed in {} s", started.elapsed().as_secs()));
    Ok(())
}

async fn verify_node(node: &Path) -> Result<(), WorldError> {
    let output = Command::new(node).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
    let output = output.await.map_err(|_| WorldError::MissingProgram { program: "node" })?;
    let found = trust::text::printable(String::from_utf8_lossy(&output.stdout).trim(), 40);
    let major = found.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE_MAJOR) {
        return Err(WorldError::OldNode { found, expected: NODE_MAJOR });
    }
    Ok(())
}

/// The first executable of that name on PATH, as an absolute path.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    std::env::split_paths(&std::env::var_os("PATH")?)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|path| {
            path.metadata()
                .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lockfile_pins_every_byte_and_names_no_registry() {
        let lockfile: serde_json::Value = serde_json::from_str(LOCKFILE).unwrap();
        let entries = lockfile["packages"].as_object().unwrap();
        for (path, entry) in entries.iter().filter(|(path, _)| !path.is_empty()) {
            assert!(entry.get("resolved").is_none(), "{path}");
            entry["integrity"].as_str().unwrap().parse::<trust::Integrity>().unwrap();
        }
        assert_eq!(entries["node_modules/verdaccio"]["version"], "6.8.0");
        assert_eq!(entries["node_modules/@foundry-rs/anvil-linux-amd64"]["version"], "1.7.1");
    }
}
