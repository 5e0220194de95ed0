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
    let failed = |source| WorldError::Folder { path: folder.to_owned(), source };
    tokio::fs::create_dir_all(folder).await.map_err(failed)?;
    let manifest = json!({
        "name": NAME,
        "version": "1.0.0",
        "description": "Says something kind.",
        "main": "index.js",
        "files": ["index.js"],
        "license": "MIT",
    });
    let manifest = serde_json::to_string_pretty(&manifest).map_err(|error| failed(error.into()))?;
    tokio::fs::write(folder.join("package.json"), manifest + "\n").await.map_err(failed)?;
    tokio::fs::write(folder.join("index.js"), CODE).await.map_err(failed)?;
    commit(folder, "Kind words").await;
    Ok(folder.to_owned())
}

/// Puts everything into a git repository with an author of its own. Without git the package has no commit
/// to name, which `3pm publish` allows and says.
async fn commit(folder: &Path, message: &str) {
    let Some(git) = on_path("git") else { return };
    let orders: [&[&str]; 7] = [
        &["init", "--quiet"],
        &["config", "user.name", "alice"],
        &["config", "user.email", "alice@localhost"],
        &["config", "commit.gpgsign", "false"],
        &["config", "tag.gpgsign", "false"],
        &["add", "--all"],
        &["commit", "--quiet", "--no-verify", "--message", message],
    ];
    for order in orders {
        let mut command = Command::new(&git);
        command
            .args(order)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if !command.status().await.is_ok_and(|status| status.success()) {
            return;
        }
    }
}
