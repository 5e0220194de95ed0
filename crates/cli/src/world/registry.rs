//! The local world's npm registry: Verdaccio with no uplinks, on loopback, with users made through its
//! own API. Does not publish anything: that is npm's work.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::http::{Authorization, Http, Limits, Method, Request};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::parts::Parts;
use super::processes::Processes;
use super::{WorldError, wait_for_line};

/// The name it is started under.
pub(crate) const NAME: &str = "registry";

/// Who may publish: the three maintainers. Somebody else needs one of their tokens, which is the point.
const PUBLISHERS: &str = "alice bob carol";

/// Verdaccio takes about 3 s on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(60);

const ANSWER: Limits = Limits { bytes: 64 * 1024, time: Duration::from_secs(20) };

/// The running registry.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    /// With a final slash.
    pub(crate) url: Url,
    /// Its process id.
    pub(crate) pid: u32,
}

/// Starts it with its storage under `folder`.
pub(crate) async fn start(
    processes: &mut Processes,
    parts: &Parts,
    folder: &Path,
) -> Result<Registry, WorldError> {
    let failed = |source| WorldError::Folder { path: folder.to_owned(), source };
    tokio::fs::create_dir_all(folder).await.map_err(failed)?;
    let configuration = folder.join("verdaccio.json");
    // JSON is YAML, and needs no second way to quote a path.
    let text = json!({
        "storage": folder.join("storage"),
        "auth": { "htpasswd": { "file": folder.join("htpasswd"), "max_users": 100 } },
        "uplinks": {},
        "packages": { "**": { "access": "$all", "publish": PUBLISHERS, "unpublish": PUBLISHERS } },
        "publish": { "allow_offline": true },
        // npm sends a tarball in base64: four thirds of the 200 MB that 3pm takes.
        "max_body_size": "320mb",
        "web": { "enable": false },
        "log": { "type": "stdout", "format": "pretty", "level": "warn", "colors": false },
        "self_path": configuration,
    });
    tokio::fs::write(&configuration, text.to_string()).await.map_err(failed)?;
    let arguments = vec![parts.registry_program.display().to_string(), configuration.display().to_string()];
    let pid = processes.run(NAME, parts.node.clone(), arguments, BTreeMap::new()).await?;
    let port = wait_for_line(processes, NAME, START_LIMIT, |line| {
        #[derive(Deserialize)]
        struct Listening {
            port: u16,
        }
        serde_json::from_str::<Listening>(line).ok().map(|listening| listening.port)
    })
    .await?;
    let url =
        Url::parse(&format!("http://127.0.0.1:{port}/")).map_err(|_| WorldError::NoPort { name: NAME })?;
    Ok(Registry { url, pid })
}

/// Makes a user and logs in, as `npm adduser` and `npm login` do; returns the token of the login.
pub(crate) async fn create_user(
    http: &Http,
    registry: &Registry,
    name: &str,
    password: &SecretString,
) -> Result<SecretString, WorldError> {
    #[derive(Deserialize)]
    struct Answer {
        token: SecretString,
    }
    let failed = |reason: String| WorldError::User { name: name.to_owned(), reason };
    let url = registry
        .url
        .join(&format!("-/user/org.couchdb.user:{name}"))
        .map_err(|error| failed(error.to_string()))?;
    let body = json!({ "name": name, "password": password.expose_secret() }).to_string();
    let credentials = STANDARD.encode(format!("{name}:{}", password.expose_secret()));
    let login = Authorization::basic(&SecretString::from(credentials));
    let mut token = None;
    for authorization in [None, Some(&login)] {
        let request = Request::new(Method::PUT, url.clone())
            .authorization(authorization)
            .body("application/json", body.clone());
        let response = http.send(request, ANSWER).await.map_err(|error| failed(error.to_string()))?;
        if response.status != 201 {
            return Err(failed(format!("the registry answered {}", response.status)));
        }
        let answer: Answer =
            serde_json::from_slice(&response.body).map_err(|error| failed(error.to_string()))?;
        token = Some(answer.token);
    }
    token.ok_or_else(|| failed("no token came".into()))
}
