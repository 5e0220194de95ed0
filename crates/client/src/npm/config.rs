//! npm's configuration, as npm itself reads it: which registry serves a name, and which credentials go
//! there. Asks `npm config list` for the merged settings, and reads credentials from the `.npmrc` files,
//! because npm does not print them. A credential is used for its own host and path only.
//!
//! Source of the rules: npm's documentation of `.npmrc` (files, precedence, `${VAR}`, scoped credentials).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::process::Command;
use trust::PackageName;
use url::Url;

use crate::http::{Authorization, UserProxy};

/// npm starts in about 0.15 s; a wrapper or a slow disk may take longer.
const NPM_TIMEOUT: Duration = Duration::from_secs(20);

/// Largest `.npmrc` that is read, in bytes.
const MAX_NPMRC_BYTES: u64 = 1 << 20;

/// Where packages come from and which credentials go where.
#[derive(Debug, Clone)]
pub struct NpmConfig {
    default_registry: Url,
    scopes: BTreeMap<String, Url>,
    /// `//host[:port]/path/:field` to value, as in `.npmrc`.
    credentials: BTreeMap<String, SecretString>,
    ca_pem: Option<Vec<u8>>,
    cache: Option<PathBuf>,
    proxy: Option<UserProxy>,
}

/// What a registry is sent.
#[derive(Debug, Clone)]
pub enum Credential {
    /// `_authToken`.
    Token(SecretString),
    /// `_auth`: user and password, base64.
    Basic(SecretString),
}

/// A registry that serves a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// Its URL, with a slash at the end.
    pub url: Url,
}

/// Why npm's configuration could not be read.
#[derive(Debug, thiserror::Error)]
pub enum NpmConfigError {
    /// npm is not there, or not executable.
    #[error("npm cannot be started; 3pm reads the registry's address from npm's configuration")]
    NoNpm(#[source] std::io::Error),
    /// npm did not finish.
    #[error("`npm config list` did not finish within {NPM_TIMEOUT:?}")]
    TimedOut,
    /// npm failed, or printed something else than JSON.
    #[error("`npm config list` gave no settings: {reason}")]
    Unreadable {
        /// What it printed.
        reason: String,
    },
    /// A registry setting that is no URL.
    #[error("npm setting {key} is {value:?}, expected an http or https URL")]
    NotAUrl {
        /// Which setting.
        key: String,
        /// Its value.
        value: String,
    },
    /// A file that exists but cannot be read.
    #[error("{path} cannot be read")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl NpmConfig {
    /// The configuration that npm would use in `project_dir`.
    pub async fn load(project_dir: &Path) -> Result<Self, NpmConfigError> {
        Self::from_listing(project_dir, &npm_settings(project_dir).await?)
    }

    /// The same, where npm was asked already: `settings` is what `npm config list --json` says in `project_dir`.
    pub fn from_listing(
        project_dir: &Path,
        settings: &serde_json::Map<String, Value>,
    ) -> Result<Self, NpmConfigError> {
        let mut scopes = BTreeMap::new();
        for (key, value) in settings {
            if let Some(scope) = key.strip_suffix(":registry").filter(|scope| scope.starts_with('@')) {
                scopes.insert(scope.to_owned(), registry_url(key, value)?);
            }
        }
        let default_registry = registry_url("registry", settings.get("registry").unwrap_or(&Value::Null))?;
        let environment: BTreeMap<String, String> = std::env::vars().collect();
        let mut credentials = BTreeMap::new();
        // Lowest precedence first.
        let files = ["globalconfig", "userconfig"]
            .iter()
            .filter_map(|key| settings.get(*key)?.as_str().map(PathBuf::from))
            .chain([project_dir.join(".npmrc")]);
        for path in files {
            credentials.extend(parse_credentials(&read_npmrc(&path)?, &environment));
        }
        for (key, value) in &environment {
            let setting = key.strip_prefix("npm_config_").or_else(|| key.strip_prefix("NPM_CONFIG_"));
            if let Some(setting) = setting.filter(|setting| setting.starts_with("//")) {
                credentials.insert(setting.to_owned(), value.clone().into());
            }
        }
        // npm's own setting, and what Node.js adds to every program.
        let cafile = settings.get("cafile").and_then(Value::as_str).map(PathBuf::from);
        let extra = environment.get("NODE_EXTRA_CA_CERTS").filter(|path| !path.is_empty()).map(PathBuf::from);
        let mut ca_pem: Option<Vec<u8>> = None;
        for path in cafile.into_iter().chain(extra) {
            let text = std::fs::read(&path).map_err(|source| NpmConfigError::File { path, source })?;
            let known = ca_pem.get_or_insert_default();
            known.extend_from_slice(&text);
            known.push(b'\n');
        }
        let cache = settings.get("cache").and_then(Value::as_str).map(PathBuf::from);
        Ok(Self { default_registry, scopes, credentials, ca_pem, cache, proxy: None })
    }

    /// Where npm keeps what it fetched.
    #[must_use]
    pub fn cache(&self) -> Option<&Path> {
        self.cache.as_deref()
    }

    /// A configuration of one registry.
    #[must_use]
    pub fn for_registry(mut url: Url, token: Option<SecretString>) -> Self {
        end_with_slash(&mut url);
        let credentials =
            token.map(|token| (format!("{}:_authToken", nerf_dart(&url)), token)).into_iter().collect();
        let (scopes, ca_pem, cache, proxy) = (BTreeMap::new(), None, None, None);
        Self { default_registry: url, scopes, credentials, ca_pem, cache, proxy }
    }

    /// The same, without npm's registries of scopes and its credentials: for who does not read them.
    #[must_use]
    pub fn without_registries(self) -> Self {
        Self { scopes: BTreeMap::new(), credentials: BTreeMap::new(), ..self }
    }

    /// The same, with what another package manager's own settings say.
    #[must_use]
    pub fn with_registries(
        mut self,
        default_registry: Option<Url>,
        scopes: BTreeMap<String, Url>,
        credentials: Vec<(Url, Credential)>,
    ) -> Self {
        if let Some(mut url) = default_registry {
            end_with_slash(&mut url);
            self.default_registry = url;
        }
        self.scopes.extend(scopes);
        for (url, credential) in credentials {
            let (field, secret) = match credential {
                Credential::Token(secret) => ("_authToken", secret),
                Credential::Basic(secret) => ("_auth", secret),
            };
            let place = nerf_dart(&url);
            // One of a place stands for all of it.
            self.credentials.retain(|key, _| key.rsplit_once(':').is_none_or(|(known, _)| known != place));
            self.credentials.insert(format!("{place}:{field}"), secret);
        }
        self
    }

    /// The same, behind the user's own proxy.
    #[must_use]
    pub fn with_proxy(self, proxy: Option<UserProxy>) -> Self {
        Self { proxy, ..self }
    }

    /// The user's own proxy.
    #[must_use]
    pub fn proxy(&self) -> Option<&UserProxy> {
        self.proxy.as_ref()
    }

    /// The registry that serves `name`.
    #[must_use]
    pub fn registry_for(&self, name: &PackageName) -> Registry {
        let url = name.scope().and_then(|scope| self.scopes.get(scope)).unwrap_or(&self.default_registry);
        Registry { url: url.clone() }
    }

    /// The registry of names without a scope of their own.
    #[must_use]
    pub fn default_registry(&self) -> Registry {
        Registry { url: self.default_registry.clone() }
    }

    /// Every registry that is configured.
    pub fn registries(&self) -> impl Iterator<Item = &Url> {
        std::iter::once(&self.default_registry).chain(self.scopes.values())
    }

    /// More certificate authorities, as npm's `cafile` and `NODE_EXTRA_CA_CERTS` give them.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&[u8]> {
        self.ca_pem.as_deref()
    }

    /// What npm would send to `url`: the credentials of the longest path that leads to it on that host.
    #[must_use]
    pub fn authorization_for(&self, url: &Url) -> Option<Authorization> {
        let mut place = nerf_dart(url);
        loop {
            if let Some(found) = self.authorization_at(&place) {
                return Some(found);
            }
            // One path segment up; the host itself is the last: `//host/`.
            let parent = place.trim_end_matches('/').rfind('/').map(|at| place[..=at].to_owned())?;
            if parent.len() <= 2 {
                return None;
            }
            place = parent;
        }
    }

    fn authorization_at(&self, place: &str) -> Option<Authorization> {
        let field = |name: &str| self.credentials.get(&format!("{place}:{name}"));
        if let Some(token) = field("_authToken") {
            return Some(Authorization::bearer(token));
        }
        if let Some(basic) = field("_auth") {
            return Some(Authorization::basic(basic));
        }
        let (user, password) = (field("username")?, field("_password")?);
        let password = STANDARD.decode(password.expose_secret()).ok()?;
        let mut pair = format!("{}:", user.expose_secret()).into_bytes();
        pair.extend_from_slice(&password);
        Some(Authorization::basic(&STANDARD.encode(pair).into()))
    }
}

/// npm's merged settings without credentials.
async fn npm_settings(project_dir: &Path) -> Result<serde_json::Map<String, Value>, NpmConfigError> {
    let mut command = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
    command
        .args(["config", "list", "--json", "--workspaces=false", "--loglevel=error"])
        .current_dir(project_dir)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(NPM_TIMEOUT, command.output())
        .await
        .map_err(|_| NpmConfigError::TimedOut)?
        .map_err(NpmConfigError::NoNpm)?;
    let unreadable =
        |reason: &str| NpmConfigError::Unreadable { reason: trust::text::printable(reason.trim(), 300) };
    if !output.status.success() {
        return Err(unreadable(&String::from_utf8_lossy(&output.stderr)));
    }
    match serde_json::from_slice(&output.stdout) {
        Ok(Value::Object(settings)) => Ok(settings),
        Ok(_) => Err(unreadable("not a JSON object")),
        Err(error) => Err(unreadable(&error.to_string())),
    }
}

fn registry_url(key: &str, value: &Value) -> Result<Url, NpmConfigError> {
    let text = value.as_str().unwrap_or_default();
    let mut url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| NpmConfigError::NotAUrl { key: key.to_owned(), value: text.to_owned() })?;
    end_with_slash(&mut url);
    Ok(url)
}

fn end_with_slash(url: &mut Url) {
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
}

/// npm's key for credentials: `//host[:port]/path/`, the path up to its last slash.
fn nerf_dart(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path = url.path().rfind('/').map_or("/", |at| &url.path()[..=at]);
    format!("//{}{port}{path}", url.host_str().unwrap_or_default())
}

fn read_npmrc(path: &Path) -> Result<String, NpmConfigError> {
    let failed = |source| NpmConfigError::File { path: path.to_owned(), source };
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > MAX_NPMRC_BYTES => {
            Err(failed(std::io::Error::other(format!("larger than {MAX_NPMRC_BYTES} bytes"))))
        }
        Ok(metadata) if metadata.is_dir() => Ok(String::new()),
        Ok(_) => std::fs::read_to_string(path).map_err(failed),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(failed(error)),
    }
}

/// The `//host/…:field` lines of an `.npmrc`.
fn parse_credentials(text: &str, environment: &BTreeMap<String, String>) -> BTreeMap<String, SecretString> {
    text.lines()
        .map(str::trim)
        .filter(|line| line.starts_with("//"))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| {
            let value = value.trim();
            let value = value
                .strip_prefix('"')
                .and_then(|inner| inner.strip_suffix('"'))
                .or_else(|| value.strip_prefix('\'').and_then(|inner| inner.strip_suffix('\'')))
                .unwrap_or(value);
            let mut key = expand(key.trim(), environment);
            // npm accepts a place without its last slash.
            if let Some((place, field)) = key.rsplit_once(':').filter(|(place, _)| !place.ends_with('/')) {
                key = format!("{place}/:{field}");
            }
            (key, expand(value, environment).into())
        })
        .collect()
}

/// `${NAME}` by its value, `${NAME?}` by its value or nothing; an unknown `${NAME}` stays as it is.
fn expand(text: &str, environment: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            out.push_str("${");
            rest = after;
            continue;
        };
        match (environment.get(name.trim_end_matches('?')), name.ends_with('?')) {
            (Some(value), _) => out.push_str(value),
            (None, true) => {}
            (None, false) => out.push_str(&format!("${{{name}}}")),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(lines: &str, environment: &[(&str, &str)]) -> NpmConfig {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        NpmConfig {
            default_registry: "https://registry.example/".parse().unwrap(),
            scopes: BTreeMap::from([("@acme".to_owned(), "https://npm.acme.example/x/".parse().unwrap())]),
            credentials: parse_credentials(lines, &environment),
            ca_pem: None,
            cache: None,
            proxy: None,
        }
    }

    fn header(config: &NpmConfig, url: &str) -> Option<String> {
        config.authorization_for(&url.parse().unwrap()).map(|authorization| authorization.expose().to_owned())
    }

    #[test]
    fn credentials_go_to_their_own_host_port_and_path_only() {
        let config = config(
            "//npm.acme.example/x/:_authToken=tok\n//127.0.0.1:4873/:_authToken=port\n; comment\nregistry=https://e.example",
            &[],
        );
        let check = |url: &str, expected: Option<&str>| {
            assert_eq!(header(&config, url).as_deref(), expected, "{url}");
        };
        check("https://npm.acme.example/x/@acme%2fa", Some("Bearer tok"));
        check("https://npm.acme.example/x/deeper/a/-/a-1.tgz", Some("Bearer tok"));
        check("https://npm.acme.example/y/a", None);
        check("https://npm.acme.example/xy/a", None);
        check("https://npm.acme.example.evil.example/x/a", None);
        check("https://npm.acme.example:8443/x/a", None);
        check("http://127.0.0.1:4873/a", Some("Bearer port"));
        check("http://127.0.0.1:4874/a", None);
        check("http://127.0.0.1/a", None);
        check("https://registry.example/a", None);
    }

    #[test]
    fn every_form_of_credentials_is_understood() {
        let check = |lines: &str, expected: Option<&str>| {
            assert_eq!(
                header(&config(lines, &[("T", "secret")]), "https://h.example/a").as_deref(),
                expected,
                "{lines}"
            );
        };
        check("//h.example/:_authToken=${T}", Some("Bearer secret"));
        check("//h.example/:_authToken = \"quoted\"", Some("Bearer quoted"));
        check("//h.example/:_authToken=${MISSING}", Some("Bearer ${MISSING}"));
        check("//h.example/:_authToken=a${MISSING?}b", Some("Bearer ab"));
        check("//h.example:_authToken=t", Some("Bearer t"));
        check("//h.example/:_auth=YTpi", Some("Basic YTpi"));
        check("//h.example/:username=a\n//h.example/:_password=Yg==", Some("Basic YTpi"));
        check("//h.example/:username=a", None);
    }

    #[test]
    fn a_scope_has_its_own_registry() {
        let config = config("", &[]);
        let check = |name: &str, expected: &str| {
            assert_eq!(config.registry_for(&name.parse().unwrap()).url.as_str(), expected);
        };
        check("@acme/a", "https://npm.acme.example/x/");
        check("@acme2/a", "https://registry.example/");
        check("a", "https://registry.example/");
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let config = config("//h.example/:_authToken=hunter2", &[]);
        let authorization = config.authorization_for(&"https://h.example/".parse().unwrap());
        assert!(!format!("{config:?} {authorization:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn npm_itself_says_which_registry_serves_a_name() {
        let project = tempfile::tempdir().unwrap();
        let npmrc = "registry=http://127.0.0.1:4873\n@acme:registry=http://127.0.0.1:4999/x\n//127.0.0.1:4999/x/:_authToken=t\n";
        std::fs::write(project.path().join(".npmrc"), npmrc).unwrap();
        let config = NpmConfig::load(project.path()).await.unwrap();
        assert_eq!(config.registry_for(&"a".parse().unwrap()).url.as_str(), "http://127.0.0.1:4873/");
        let scoped = config.registry_for(&"@acme/a".parse().unwrap()).url;
        assert_eq!(scoped.as_str(), "http://127.0.0.1:4999/x/");
        assert_eq!(header(&config, scoped.as_str()).as_deref(), Some("Bearer t"));
    }
}
