//! What an npm registry is asked, and what it answers. Its word decides nothing: bytes and manifests are
//! judged by `trust`.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use reqwest::Method;
use reqwest::header::LOCATION;
use secrecy::SecretString;
use serde_json::Value;
use trust::legacy::{LegacyVersion, MAX_LEGACY_VERSIONS};
use trust::{Integrity, PackageName, Version};
use url::Url;

use super::publish::{PublishBody, PutOutcome};
use super::{NpmConfig, Packument, PackumentError, Registry};
use crate::http::{Authorization, Http, HttpError, Limits, Request, parse, public};

/// The largest packuments on npm have about 50 MB.
const PACKUMENT: Limits = Limits { bytes: 128 << 20, time: Duration::from_secs(60) };

/// npm takes tarballs of a few hundred megabytes.
const TARBALL: Limits = Limits { bytes: 256 << 20, time: Duration::from_secs(300) };

/// A publish request carries the tarball; the answer is small.
const PUBLISH: Limits = Limits { bytes: 1 << 20, time: Duration::from_secs(300) };

/// The tokens of an account: all of them, ten unless told otherwise.
const TOKEN_LIST: &str = "-/npm/v1/tokens?perPage=1000";

/// Most redirects on the way to a tarball.
const MAX_REDIRECTS: usize = 5;

/// How many tarballs without a sha512 are fetched at once.
const PARALLEL: usize = 8;

/// A registry as npm's configuration shows it.
#[derive(Debug, Clone)]
pub struct NpmClient {
    http: Http,
    config: NpmConfig,
    offline: bool,
}

/// Why a registry gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum NpmError {
    /// It could not be asked, or its answer is not usable.
    #[error("npm registry gave no usable answer about {subject}")]
    Http {
        /// What it was asked about.
        subject: String,
        /// Why.
        #[source]
        source: HttpError,
    },
    /// Its document contradicts itself.
    #[error(transparent)]
    Packument(#[from] PackumentError),
    /// It is not asked: there is no network.
    #[error("there is no network, so the registry was not asked about {subject}")]
    Offline {
        /// What about.
        subject: String,
    },
    /// A URL that cannot be built.
    #[error("{name} makes no URL under {registry}")]
    Url {
        /// The package.
        name: String,
        /// The registry.
        registry: String,
    },
    /// It knows no account for the token.
    #[error("the registry at {registry} accepts the token of nobody: it is wrong, expired or revoked")]
    BadToken {
        /// The registry.
        registry: String,
    },
    /// Redirects without end, or to nowhere.
    #[error("{url} redirects more than {MAX_REDIRECTS} times, or to no http address")]
    Redirects {
        /// Where it began.
        url: String,
    },
    /// More versions than a list may hold.
    #[error("{name} has {found} versions, expected at most {MAX_LEGACY_VERSIONS}")]
    TooManyVersions {
        /// The package.
        name: PackageName,
        /// How many.
        found: usize,
    },
}

/// What a registry says of a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenDetails {
    /// When it ends, Unix seconds.
    pub expires_at: Option<u64>,
    /// It can publish nothing, whatever its account can.
    pub read_only: bool,
}

/// Whether an account may publish a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishAccess {
    /// The registry says yes.
    Yes,
    /// The registry says no.
    No,
    /// The registry does not tell.
    Unknown,
}

/// The versions a claim covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyVersions {
    /// Each with the sha512 of its bytes.
    pub versions: Vec<LegacyVersion>,
    /// Versions that no contract can name (not strict SemVer).
    pub skipped: Vec<String>,
}

impl NpmClient {
    /// A client for the registries of `config`.
    pub fn new(http: &Http, config: NpmConfig) -> Result<Self, HttpError> {
        let http = match (config.ca_pem(), config.proxy()) {
            (None, None) => http.clone(),
            (authorities, proxy) => Http::with(authorities.unwrap_or_default(), proxy)?,
        };
        Ok(Self { http, config, offline: false })
    }

    /// The same, asking nobody about packages: there is no network.
    #[must_use]
    pub fn offline(self) -> Self {
        Self { offline: true, ..self }
    }

    /// Whether nobody is asked.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// What it asks with.
    #[must_use]
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// The configuration it was made with.
    #[must_use]
    pub fn config(&self) -> &NpmConfig {
        &self.config
    }

    /// Everything the registry says about `name`; `None` when it does not know it.
    pub async fn fetch_packument(&self, name: &PackageName) -> Result<Option<Packument>, NpmError> {
        if self.offline {
            return Err(NpmError::Offline { subject: name.to_string() });
        }
        let url = self.package_url(name)?;
        let authorization = self.config.authorization_for(&url);
        let failed = |source| NpmError::Http { subject: name.to_string(), source };
        match self.http.get_bytes(&url, authorization.as_ref(), Some("application/json"), PACKUMENT).await {
            Ok(body) => match Packument::parse(name, &body) {
                Ok(packument) => Ok(Some(packument?)),
                Err(source) => Err(failed(HttpError::Malformed { url: public(&url), source })),
            },
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// The bytes at `url`. Credentials go along only where npm's configuration has some for that very
    /// place, also after a redirect.
    pub async fn fetch_tarball(&self, url: &Url) -> Result<Bytes, NpmError> {
        if self.offline {
            return Err(NpmError::Offline { subject: public(url) });
        }
        let failed = |source| NpmError::Http { subject: public(url), source };
        let mut at = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let authorization = self.config.authorization_for(&at);
            let request = Request::new(Method::GET, at.clone()).authorization(authorization.as_ref());
            let answer = self.http.send(request, TARBALL).await.map_err(failed)?;
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer.successful(&at).map_err(failed)?.body);
            }
            at = answer
                .headers
                .get(LOCATION)
                .and_then(|location| at.join(location.to_str().ok()?).ok())
                .filter(|next| next.scheme() == "https" || next.scheme() == url.scheme())
                .ok_or_else(|| NpmError::Redirects { url: public(url) })?;
        }
        Err(NpmError::Redirects { url: public(url) })
    }

    /// The tarball under `latest`; `None` when nothing is. npm takes fields that begin with `_` out of the
    /// manifest it sends to the registry, so whoever looks for one of those reads the package.json in here.
    pub async fn fetch_latest(&self, packument: &Packument) -> Result<Option<Bytes>, NpmError> {
        match packument.latest()? {
            Some(latest) => self.fetch_tarball(&latest.tarball).await.map(Some),
            None => Ok(None),
        }
    }

    /// Whose token it is. An anonymous answer is an error: some registries give one with status 200.
    pub async fn whoami(&self, registry: &Registry, token: &SecretString) -> Result<String, NpmError> {
        let bad_token = || NpmError::BadToken { registry: public(&registry.url) };
        let answer = match self.get_with_token(registry, "-/whoami", token).await {
            Err(NpmError::Http { source, .. }) if matches!(source.status(), Some(401 | 403)) => {
                return Err(bad_token());
            }
            answer => answer?,
        };
        match answer.get("username").and_then(Value::as_str) {
            Some(user) if !user.is_empty() => Ok(trust::text::printable(user, 214)),
            _ => Err(bad_token()),
        }
    }

    /// Whether `user` may publish `name`: from the list of collaborators, else from the maintainers.
    pub async fn check_publish_access(
        &self,
        name: &PackageName,
        user: &str,
        token: &SecretString,
    ) -> Result<PublishAccess, NpmError> {
        let registry = self.config.registry_for(name);
        let path = format!("-/package/{}/collaborators", name.url_segment());
        match self.get_with_token(&registry, &path, token).await {
            Ok(Value::Object(collaborators)) if !collaborators.is_empty() => {
                return Ok(match collaborators.get(user).and_then(Value::as_str) {
                    Some("write" | "read-write") => PublishAccess::Yes,
                    _ => PublishAccess::No,
                });
            }
            Ok(_) => {}
            Err(NpmError::Http { source, .. }) if source.status().is_some() => {}
            Err(error) => return Err(error),
        }
        Ok(match self.fetch_packument(name).await? {
            Some(packument) if packument.maintainers.is_empty() => PublishAccess::Unknown,
            Some(packument) if packument.maintainers.iter().any(|maintainer| maintainer == user) => {
                PublishAccess::Yes
            }
            Some(_) => PublishAccess::No,
            None => PublishAccess::Unknown,
        })
    }

    /// What the registry says of a token, where it says anything: most answer only for tokens with every right.
    pub async fn token_details(
        &self,
        registry: &Registry,
        token: &SecretString,
    ) -> Result<TokenDetails, NpmError> {
        use secrecy::ExposeSecret as _;
        let list = match self.get_with_token(registry, TOKEN_LIST, token).await {
            Ok(list) => list,
            Err(NpmError::Http { source, .. }) if source.status().is_some() => {
                return Ok(TokenDetails::default());
            }
            Err(error) => return Err(error),
        };
        let entry = listed(&list, token.expose_secret());
        let read_only = entry.and_then(|entry| entry.get("readonly")?.as_bool()).unwrap_or(false);
        let expiry = entry.and_then(|entry| entry.get("expiry")?.as_str());
        let parsed = expiry.and_then(|text| {
            time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()
        });
        let expires_at = parsed.and_then(|at| u64::try_from(at.unix_timestamp()).ok());
        Ok(TokenDetails { expires_at, read_only })
    }

    /// Publishes one version.
    pub async fn put_version(
        &self,
        name: &PackageName,
        body: PublishBody,
        token: &SecretString,
    ) -> Result<PutOutcome, NpmError> {
        let url = self.package_url(name)?;
        let request = Request::new(Method::PUT, url.clone())
            .authorization(Some(&Authorization::bearer(token)))
            .body("application/json", body.0);
        let failed = |source| NpmError::Http { subject: name.to_string(), source };
        let answer = self.http.send(request, PUBLISH).await.map_err(failed)?;
        let says = |words: &str| String::from_utf8_lossy(&answer.body).contains(words);
        if answer.status == 409 {
            return Ok(PutOutcome::AlreadyThere);
        }
        if answer.status == 403 && says("previously published") {
            return Ok(PutOutcome::NumberUsed);
        }
        if answer.status == 401 {
            return Err(NpmError::BadToken { registry: public(&self.config.registry_for(name).url) });
        }
        answer.successful(&url).map_err(failed)?;
        Ok(PutOutcome::Created)
    }

    /// Every version the registry has, with its sha512: the one it announces, else that of the bytes.
    pub async fn legacy_versions(&self, packument: &Packument) -> Result<LegacyVersions, NpmError> {
        self.hash_versions(packument, |_| true).await
    }

    /// The same of those that the registry says were published until `time` (Unix seconds), or does not date.
    pub async fn legacy_versions_until(
        &self,
        packument: &Packument,
        time: u64,
    ) -> Result<LegacyVersions, NpmError> {
        self.hash_versions(packument, |version| packument.published_at(version).is_none_or(|at| at <= time))
            .await
    }

    async fn hash_versions(
        &self,
        packument: &Packument,
        wanted: impl Fn(&Version) -> bool,
    ) -> Result<LegacyVersions, NpmError> {
        let (mut versions, mut skipped, mut to_hash) = (Vec::new(), Vec::new(), Vec::new());
        for text in packument.version_names() {
            let Ok(version) = text.parse::<Version>() else {
                skipped.push(trust::text::printable(text, 80));
                continue;
            };
            if !wanted(&version) {
                continue;
            }
            let Some(described) = packument.version(text)? else { continue };
            match described.integrity.as_deref().map(str::parse::<Integrity>) {
                Some(Ok(integrity)) => versions.push(LegacyVersion { version, integrity }),
                _ => to_hash.push((version, described.tarball)),
            }
        }
        let found = versions.len() + to_hash.len();
        if found > MAX_LEGACY_VERSIONS {
            return Err(NpmError::TooManyVersions { name: packument.name.clone(), found });
        }
        let hashed: Vec<LegacyVersion> = futures_util::stream::iter(to_hash)
            .map(|(version, tarball)| async move {
                let bytes = self.fetch_tarball(&tarball).await?;
                Ok::<_, NpmError>(LegacyVersion { version, integrity: Integrity::of(&bytes) })
            })
            .buffer_unordered(PARALLEL)
            .try_collect()
            .await?;
        versions.extend(hashed);
        versions.sort_by(|a, b| a.version.cmp(&b.version));
        Ok(LegacyVersions { versions, skipped })
    }

    /// Where the document about `name` is, spelled as npm spells it.
    pub fn package_url(&self, name: &PackageName) -> Result<Url, NpmError> {
        let registry = self.config.registry_for(name).url;
        registry
            .join(&name.url_segment())
            .map_err(|_| NpmError::Url { name: name.to_string(), registry: public(&registry) })
    }

    async fn get_with_token(
        &self,
        registry: &Registry,
        path: &str,
        token: &SecretString,
    ) -> Result<Value, NpmError> {
        let failed = |source| NpmError::Http { subject: path.to_owned(), source };
        let url = registry
            .url
            .join(path)
            .map_err(|_| NpmError::Url { name: path.to_owned(), registry: public(&registry.url) })?;
        let request =
            Request::new(Method::GET, url.clone()).authorization(Some(&Authorization::bearer(token)));
        let limits = Limits { time: Duration::from_secs(15), ..Limits::SMALL };
        let answer = self.http.send(request, limits).await.and_then(|answer| answer.successful(&url));
        answer.and_then(|answer| parse(&url, &answer.body)).map_err(failed)
    }
}

/// The entry of a token list that is about `token`. A list shows no token whole: an entry has the token's SHA-512 as its
/// `key`, or the token without its middle (npm: 8 characters, `...`, 4; Verdaccio: 5 and 5). Two entries that
/// look like it say nothing.
fn listed<'a>(list: &'a Value, token: &str) -> Option<&'a Value> {
    let entries = || list.get("objects").and_then(Value::as_array).into_iter().flatten();
    let text = |entry: &'a Value, field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
    let (high, low) = Integrity::of(token.as_bytes()).words();
    let digest = format!("{high:x}{low:x}");
    if let Some(entry) = entries().find(|entry| text(entry, "key").eq_ignore_ascii_case(&digest)) {
        return Some(entry);
    }
    let mut alike = entries().filter(|entry| {
        text(entry, "token").split_once("...").is_some_and(|(head, tail)| {
            head.len() >= 4
                && tail.len() >= 4
                && head.len() + tail.len() < token.len()
                && token.starts_with(head)
                && token.ends_with(tail)
        })
    });
    alike.next().filter(|_| alike.next().is_none())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TOKEN: &str = "npm_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789";

    #[track_caller]
    fn check(objects: Value, expected: Option<&str>) {
        let list = json!({ "objects": objects });
        let found = listed(&list, TOKEN).and_then(|entry| entry["name"].as_str());
        assert_eq!(found, expected, "{list}");
    }

    #[test]
    fn a_token_is_found_by_its_ends() {
        check(json!([{"name": "npm", "token": "npm_aBcD...6789"}]), Some("npm"));
        check(json!([{"name": "Verdaccio", "token": "npm_a...56789"}]), Some("Verdaccio"));
        check(json!([{"name": "other tail", "token": "npm_aBcD...6780"}]), None);
        check(json!([{"name": "other head", "token": "npm_aBcE...6789"}]), None);
        let others = json!([{"name": "not", "token": "npm_aBcD...0000"}, {"name": "this", "token": "npm_aBcD...6789"}]);
        check(others, Some("this"));
    }

    #[test]
    fn what_fits_every_token_is_about_none() {
        for shown in ["", "...", "npm_...", "...6789", "npm_aBcD", "npm_", TOKEN] {
            check(json!([{"name": "any", "token": shown}]), None);
        }
        check(json!([{"name": "no token"}, "no entry", 7]), None);
        check(json!("no list"), None);
    }

    #[test]
    fn two_that_look_alike_say_nothing_unless_one_is_the_digest() {
        let (one, two) = (
            json!({"name": "one", "token": "npm_aBcD...6789"}),
            json!({"name": "two", "token": "npm_a...56789"}),
        );
        check(json!([one, two]), None);
        let (high, low) = Integrity::of(TOKEN.as_bytes()).words();
        check(json!([one, two, {"name": "digest", "key": format!("{high:x}{low:x}")}]), Some("digest"));
        check(json!([one, {"name": "digest of another", "key": "0".repeat(128)}]), Some("one"));
    }
}
