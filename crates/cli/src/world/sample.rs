//! A small package, in a git repository where git is there, for a person to publish in the local world.
//! Runs nothing of it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;
use tokio::process::Command;

use super::WorldError;
use super::parts::on_path;

/// Its name.
pub(crate) const NAME: &str = "kind-words";

/// Its code.
pub(crate) const CODE: &str = "module.exports = (name) => `You did that well, ${name}.`;\n";

/// Writes it into `folder` at version 1.0.0.
pub(crate) async fn write(folder: &Path) -> Result<PathBuf, WorldError> {
    write_package(folder, NAME, "1.0.0", CODE).await?;
    commit(folder, "Kind words").await;
    Ok(folder.to_owned())
}

/// Writes a package of two files.
pub(crate) async fn write_package(folder: &Path, name: &str, version: &str, code: &str) -> Result<(), WorldError> {
    let failed = |source| WorldError::Folder { path: folder.to_owned(), source };
    tokio::fs::create_dir_all(folder).await.map_err(failed)?;
    let manifest = json!({
        "name": name,
        "version": version,
        "description": "Says something kind.",
        "main": "index.js",
        "files": ["index.js"],
        "license": "MIT",
    });
    let manifest = serde_json::to_string_pretty(&manifest).map_err(|error| failed(error.into()))?;
    tokio::fs::write(folder.join("package.json"), manifest + "\n").await.map_err(failed)?;
    tokio::fs::write(folder.join("index.js"), code).await.map_err(failed)
}

/// Commits everything, as an author of this world. Without git the package has no commit to name,
/// which `3pm publish` allows and says.
pub(crate) async fn commit(folder: &Path, message: &str) {
    let Some(git) = on_path("git") else { return };
    let orders: [&[&str]; 3] =
        [&["init", "--quiet"], &["add", "--all"], &["commit", "--quiet", "--message", message]];
    for order in orders {
        let ended = Command::new(&git)
            .args(["-c", "user.name=alice", "-c", "user.email=alice@localhost", "-c", "commit.gpgsign=false"])
            .args(["-c", "init.defaultBranch=main", "-c", "core.hooksPath=/dev/null"])
            .args(order)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await;
        if !ended.is_ok_and(|status| status.success()) {
            return;
        }
    }
}
