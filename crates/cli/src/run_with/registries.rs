//! Where a package manager looks for packages when that is not where npm does: yarn 4 and bun have settings of their
//! own for registries, scopes and credentials, pnpm for registries and scopes, yarn 1 for the registry. What they say is
//! put in the place of npm's, so that 3pm asks where the package manager asks.
//!
//! Sources: yarn's and bun's documentation of `npmScopes`, `npmRegistries` and `[install.scopes]`; which of bun's files and
//! variables wins was tried with bun 1.4. Credentials are read where somebody wrote some, and kept nowhere.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::http::public;
use client::npm::{Credential, NpmConfig};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use url::Url;

use super::flow::QUESTION_LIMIT;
use super::manager::{Kind, Manager};
use super::process;
use crate::install::answers::{Answers, NpmSays, has_settings};
use crate::install::npm::no_shell;
use crate::install::project::{MAX_MANIFEST_BYTES, ProjectError, private_folder, read_bounded};
use crate::install::settings::Noted;

/// What yarn 4's settings for a scope or a registry are called. Where no file and no variable mentions one, yarn need
/// not be asked.
const OF_YARN: [&str; 4] = ["npmScopes", "npmRegistries", "npmAuthToken", "npmAuthIdent"];

/// What pnpm 10 and later call theirs, in pnpm-workspace.yaml and in a user's config.yaml. Where no file mentions it, pnpm
/// need not be asked for more than the one.
const OF_PNPM: &str = "registries";

/// What it says in the place of npm's configuration.
#[derive(Debug, Default)]
pub(crate) struct Own {
    registry: Option<Url>,
    scopes: BTreeMap<String, Url>,
    credentials: Vec<(Url, Credential)>,
    /// It does not read npm's.
    alone: bool,
}

impl Own {
    /// Asks the package manager, and reads its files where it cannot be asked.
    pub(crate) async fn of(manager: &Manager, root: &Path, answers: &Answers) -> Self {
        Self::said_in(root, manager, root, answers).await
    }

    /// What it says in a folder about all that somebody mentions in `root`.
    async fn said_in(folder: &Path, manager: &Manager, root: &Path, answers: &Answers) -> Self {
        match manager.kind {
            Kind::Npm => Self::default(),
            Kind::Pnpm => Self::of_pnpm(manager, folder, lists_registries(root), answers).await,
            Kind::YarnClassic => {
                let registry = ask(manager, folder, answers, &["config", "get", "registry"]).await;
                Self { registry: registry.as_deref().and_then(url), ..Self::default() }
            }
            Kind::Yarn => Self::of_yarn(manager, folder, is_mentioned(root), answers).await,
            Kind::Bun => Self::of_bun(folder),
        }
    }

    /// Where npm's configuration says one, that is the registry of yarn 1: it reads npm's files as well, and they stand above
    /// its own.
    pub(crate) fn below_npm(
        self,
        manager: &Manager,
        npm: &BTreeMap<&str, &str>,
        builtin: Option<&Url>,
    ) -> Self {
        let said = npm.get("registry").and_then(|text| url(text));
        match manager.kind == Kind::YarnClassic && said.is_some() && said.as_ref() != builtin {
            true => Self { registry: None, ..self },
            false => self,
        }
    }

    /// npm's configuration with this in its place.
    pub(crate) fn over(self, npm: NpmConfig) -> NpmConfig {
        let npm = if self.alone { npm.without_registries() } else { npm };
        npm.with_registries(self.registry, self.scopes, self.credentials)
    }

    /// The same in npm's words, below those of `npmrc`, the project's own. What npm could not read as one setting is
    /// left out.
    pub(crate) fn render(&self, npmrc: &str) -> String {
        let mut lines = if self.alone { vec![] } else { vec![npmrc.to_owned()] };
        lines.extend(self.registry.iter().map(|registry| format!("registry={registry}")));
        let is_scope = |scope: &&String| format!("{scope}/x").parse::<trust::PackageName>().is_ok();
        for scope in self.scopes.keys().filter(is_scope) {
            lines.push(format!("{scope}:registry={}", self.scopes[scope]));
        }
        for (url, credential) in &self.credentials {
            let (field, secret) = match credential {
                Credential::Token(secret) => ("_authToken", secret.expose_secret()),
                Credential::Basic(secret) => ("_auth", secret.expose_secret()),
            };
            if secret.chars().all(|c| c.is_ascii_graphic() && !"\"'`;#$\\".contains(c)) {
                let place = &url[url::Position::BeforeHost..url::Position::AfterPath];
                lines.push(format!("//{place}:{field}={secret}"));
            }
        }
        lines.join("\n") + "\n"
    }

    /// Registries that the project's settings lead to and the user's own do not. Of npm that is part of what it says.
    pub(crate) async fn named_by_project(
        &self,
        manager: &Manager,
        root: &Path,
        answers: &Answers,
        npm: &NpmSays,
    ) -> Result<Vec<Noted>, ProjectError> {
        if manager.kind == Kind::Npm || !has_settings(root) {
            return Ok(Vec::new());
        }
        let nowhere = private_folder()?;
        let users = Self::said_in(nowhere.path(), manager, root, answers).await;
        let [of_project, of_user] = npm.settings.registries();
        let users = users.below_npm(manager, &of_user, npm.builtin.as_ref());
        let (here, without) = (self.named(&of_project), users.named(&of_user));
        let others = here.iter().filter(|(setting, url)| without.get(*setting) != Some(url));
        Ok(others.map(|(setting, url)| Noted::registry(setting, &public(url).to_string())).collect())
    }

    /// Registries by the name of npm's setting; `npm` is what that says.
    fn named(&self, npm: &BTreeMap<&str, &str>) -> BTreeMap<String, Url> {
        let of_npm = npm.iter().filter(|_| !self.alone);
        let mut named: BTreeMap<String, Url> =
            of_npm.filter_map(|(name, text)| Some(((*name).to_owned(), url(text)?))).collect();
        named.extend(self.registry.iter().map(|registry| ("registry".to_owned(), registry.clone())));
        let scopes = self.scopes.iter();
        named.extend(scopes.map(|(scope, registry)| (format!("{scope}:registry"), registry.clone())));
        named
    }

    async fn of_pnpm(manager: &Manager, root: &Path, lists: bool, answers: &Answers) -> Self {
        // pnpm 10 asks npm for it, and npm is asked anyway; where nobody says a word it is what npm has.
        let no_npm = format!("--config.npm-path={}", no_shell());
        let words = [no_npm.as_str(), "config", "get", "registry"];
        let is_asked = manager.major() != Some(10) && manager.question(&words, root).is_mentioned("registr");
        let registry = async { if is_asked { ask(manager, root, answers, &words).await } else { None } };
        let listed = async {
            if !lists {
                return None;
            }
            say(manager, root, answers, &["config", "get", OF_PNPM, "--json"]).await
        };
        let (registry, listed) = tokio::join!(registry, listed);
        let mut own = Self { registry: registry.as_deref().and_then(url), ..Self::default() };
        own.add_pnpm(&listed.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default());
        own
    }

    /// Of pnpm 10 each scope with its registry, of pnpm 11 each registry with its scopes.
    fn add_pnpm(&mut self, listed: &Value) {
        // The default is what `config get registry` says: variables stand above a project's file there.
        let mut add = |scope: &str, registry: Option<Url>| {
            if let (true, Some(registry)) = (scope != "default" && scope != "@", registry) {
                self.scopes.insert(scope.to_owned(), registry);
            }
        };
        for (key, described) in listed.as_object().into_iter().flatten() {
            match described.as_str() {
                Some(registry) => add(key, url(registry)),
                None => {
                    let scopes = described["scopes"].as_array().into_iter().flatten();
                    scopes.filter_map(Value::as_str).for_each(|scope| add(scope, url(key)));
                }
            }
        }
    }

    async fn of_yarn(manager: &Manager, root: &Path, mentions: bool, answers: &Answers) -> Self {
        let registry = ask(manager, root, answers, &["config", "get", "npmRegistryServer"]).await;
        let registry = registry.as_deref().and_then(url);
        let mut own = Self { alone: registry.is_some(), registry, ..Self::default() };
        if !mentions {
            return own;
        }
        // With credentials, so nothing of it is kept.
        let said = async |name: &str| {
            let words = ["config", "get", name, "--json", "--no-redacted"];
            let quiet = manager.kind.asked();
            let answer = process::ask(&manager.program, &words, root, &quiet, QUESTION_LIMIT).await.ok()?;
            serde_json::from_str::<Value>(&answer).ok()
        };
        let [scopes, registries, token, ident] = OF_YARN;
        let (scopes, registries, token, ident) =
            tokio::join!(said(scopes), said(registries), said(token), said(ident));
        own.add_yarn(
            &scopes.unwrap_or_default(),
            &registries.unwrap_or_default(),
            &serde_json::json!({"npmAuthToken": token, "npmAuthIdent": ident}),
        );
        own
    }

    fn add_yarn(&mut self, scopes: &Value, registries: &Value, above: &Value) {
        let credential = |settings: &Value| {
            let text = |name: &str| settings.get(name).and_then(Value::as_str).map(str::to_owned);
            let ident = |ident: String| match ident.contains(':') {
                true => STANDARD.encode(ident),
                false => ident,
            };
            text("npmAuthToken")
                .map(|token| Credential::Token(token.into()))
                .or_else(|| text("npmAuthIdent").map(|text| Credential::Basic(ident(text).into())))
        };
        let add = |own: &mut Self, url: &Url, settings: &Value| {
            own.credentials.extend(credential(settings).map(|credential| (url.clone(), credential)));
        };
        if let Some(registry) = self.registry.clone() {
            add(self, &registry, above);
        }
        for (place, settings) in registries.as_object().into_iter().flatten() {
            if let Some(url) = url(place).or_else(|| url(&format!("https:{place}"))) {
                add(self, &url, settings);
            }
        }
        for (scope, settings) in scopes.as_object().into_iter().flatten() {
            let registry = settings.get("npmRegistryServer").and_then(Value::as_str).and_then(url);
            if let Some(registry) = registry {
                add(self, &registry, settings);
                self.scopes.insert(format!("@{scope}"), registry);
            }
        }
    }

    /// bun cannot be asked. A variable comes before the project's file, and that before the user's.
    fn of_bun(root: &Path) -> Self {
        let mut own = Self::default();
        let home = std::env::home_dir().map(|home| home.join(".bunfig.toml"));
        let config =
            std::env::var_os("XDG_CONFIG_HOME").map(|folder| PathBuf::from(folder).join(".bunfig.toml"));
        for file in config.or(home).into_iter().chain([root.join("bunfig.toml")]) {
            let text = read_bounded(&file, MAX_MANIFEST_BYTES).ok().flatten().unwrap_or_default();
            if let Ok(settings) = toml::from_str::<Value>(&String::from_utf8_lossy(&text)) {
                own.add_bun(&settings["install"], &|name| std::env::var(name).ok());
            }
        }
        let of_npm = ["NPM_CONFIG_REGISTRY", "npm_config_registry"];
        if let Some(registry) = variable("BUN_CONFIG_REGISTRY").as_deref().and_then(url) {
            own.registry = Some(registry);
        } else if of_npm.into_iter().any(|name| variable(name).is_some()) {
            own.registry = None;
        }
        own
    }

    fn add_bun(&mut self, install: &Value, environment: &dyn Fn(&str) -> Option<String>) {
        let expand = |text: &str| match text.strip_prefix('$') {
            Some(name) => environment(name.trim_matches(['{', '}'])).unwrap_or_default(),
            None => text.to_owned(),
        };
        let read = |settings: &Value| -> Option<(Url, Option<Credential>)> {
            let field = |name: &str| settings.get(name).and_then(Value::as_str).map(expand);
            let mut place = url(&settings.as_str().map(expand).or_else(|| field("url"))?)?;
            let user = Some(place.username().to_owned()).filter(|user| !user.is_empty());
            let pair = field("username").or(user);
            let word = field("password").or_else(|| place.password().map(str::to_owned));
            let basic = pair.zip(word).map(|(user, word)| STANDARD.encode(format!("{user}:{word}")));
            let _ = (place.set_username(""), place.set_password(None));
            let token = field("token").filter(|token| !token.is_empty());
            let token = token.map(|token| Credential::Token(token.into()));
            Some((place, token.or_else(|| basic.map(|basic| Credential::Basic(basic.into())))))
        };
        if let Some((registry, credential)) = read(&install["registry"]) {
            self.credentials.extend(credential.map(|credential| (registry.clone(), credential)));
            self.registry = Some(registry);
        }
        for (scope, settings) in install["scopes"].as_object().into_iter().flatten() {
            let Some((registry, credential)) = read(settings) else { continue };
            self.credentials.extend(credential.map(|credential| (registry.clone(), credential)));
            self.scopes.insert(format!("@{}", scope.trim_start_matches('@')), registry);
        }
    }
}

/// Its answer of one line.
async fn ask(manager: &Manager, root: &Path, answers: &Answers, words: &[&str]) -> Option<String> {
    say(manager, root, answers, words).await?.lines().last().map(str::to_owned)
}

async fn say(manager: &Manager, root: &Path, answers: &Answers, words: &[&str]) -> Option<String> {
    let quiet = manager.kind.asked();
    let question = manager.question(words, root);
    let ask = process::ask(&manager.program, words, root, &quiet, QUESTION_LIMIT);
    answers.to(question, ask).await.ok()
}

/// Whether pnpm's own list of registries stands anywhere.
fn lists_registries(root: &Path) -> bool {
    let home = std::env::home_dir();
    let config = std::env::var_os("XDG_CONFIG_HOME").map(|folder| PathBuf::from(folder).join("pnpm"));
    let of_user = [".config/pnpm", "Library/Preferences/pnpm"].into_iter();
    let of_user = of_user.filter_map(|name| Some(home.as_deref()?.join(name))).chain(config);
    let of_project = root.ancestors().map(|folder| folder.join("pnpm-workspace.yaml"));
    let files = of_user.map(|folder| folder.join("config.yaml")).chain(of_project);
    files.filter_map(|file| read_bounded(&file, MAX_MANIFEST_BYTES).ok().flatten()).any(|bytes| {
        let text = String::from_utf8_lossy(&bytes);
        // However else the word could be written.
        text.contains(OF_PNPM) || text.contains('\\')
    })
}

/// Whether a setting of yarn's that leads elsewhere stands anywhere.
fn is_mentioned(root: &Path) -> bool {
    let home = std::env::home_dir();
    let files = root.ancestors().chain(home.as_deref()).map(|folder| folder.join(".yarnrc.yml"));
    let in_files =
        files.filter_map(|file| read_bounded(&file, MAX_MANIFEST_BYTES).ok().flatten()).any(|bytes| {
            let text = String::from_utf8_lossy(&bytes);
            OF_YARN.iter().any(|name| text.contains(name))
        });
    let is_one = |name: &OsString| name.to_string_lossy().to_ascii_uppercase().starts_with("YARN_NPM_AUTH");
    in_files || std::env::vars_os().any(|(name, _)| is_one(&name))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A registry's address, with a slash at the end.
fn url(text: &str) -> Option<Url> {
    let mut url = Url::parse(text.trim()).ok()?;
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(own: Own) -> NpmConfig {
        own.over(NpmConfig::for_registry("https://registry.example/".parse().unwrap(), None))
    }

    fn check(config: &NpmConfig, name: &str, registry: &str, sent: Option<&str>) {
        let found = config.registry_for(&name.parse().unwrap()).url;
        assert_eq!(found.as_str(), registry, "{name}");
        let authorization = config.authorization_for(&found.join("x").unwrap());
        let authorization = authorization.map(|found| found.into_header_value().expose_secret().to_owned());
        assert_eq!(authorization.as_deref(), sent, "{name}");
    }

    #[test]
    fn yarn_has_registries_scopes_and_credentials_of_its_own() {
        let mut own = Own { registry: url("https://own.example"), alone: true, ..Own::default() };
        own.add_yarn(
            &json!({"acme": {"npmRegistryServer": "https://npm.acme.example/x", "npmAuthToken": "tok"},
                "plain": {"npmRegistryServer": "https://plain.example", "npmAuthToken": null},
                "odd": {"npmRegistryServer": 7}}),
            &json!({"//plain.example": {"npmAuthIdent": "user:word"}}),
            &json!({"npmAuthToken": null, "npmAuthIdent": "abc="}),
        );
        let config = config(own);
        check(&config, "left-pad", "https://own.example/", Some("Basic abc="));
        check(&config, "@acme/a", "https://npm.acme.example/x/", Some("Bearer tok"));
        check(&config, "@plain/a", "https://plain.example/", Some("Basic dXNlcjp3b3Jk"));
        check(&config, "@odd/a", "https://own.example/", Some("Basic abc="));
    }

    #[test]
    fn pnpm_lists_them_by_scope_or_by_registry() {
        for listed in [
            json!({"default": "https://own.example", "@acme": "https://npm.acme.example/x", "@odd": 7}),
            json!({"https://own.example/": {"scopes": ["@"], "prefix": "p"},
                "https://npm.acme.example/x/": {"scopes": ["@acme"]}, "https://named.example/": {"prefix": "gh"}}),
        ] {
            let mut own = Own { registry: url("https://other.example"), ..Own::default() };
            own.add_pnpm(&listed);
            let config = config(own);
            check(&config, "left-pad", "https://other.example/", None);
            check(&config, "@acme/a", "https://npm.acme.example/x/", None);
            check(&config, "@odd/a", "https://other.example/", None);
        }
        let mut own = Own { registry: url("https://other.example"), ..Own::default() };
        own.add_pnpm(&json!("undefined"));
        check(&config(own), "@acme/a", "https://other.example/", None);
    }

    #[test]
    fn bun_has_them_in_its_file() {
        let text = r#"
            [install]
            registry = { url = "https://own.example", username = "user", password = "$WORD" }
            [install.scopes]
            acme = { url = "https://npm.acme.example/x", token = "$TOKEN" }
            "@plain" = "https://plain.example"
            user = "https://user:word@user.example/"
        "#;
        let mut own = Own::default();
        let settings: Value = toml::from_str(text).unwrap();
        own.add_bun(&settings["install"], &|name| match name {
            "WORD" => Some("word".to_owned()),
            "TOKEN" => Some("tok".to_owned()),
            _ => None,
        });
        let config = config(own);
        check(&config, "left-pad", "https://own.example/", Some("Basic dXNlcjp3b3Jk"));
        check(&config, "@acme/a", "https://npm.acme.example/x/", Some("Bearer tok"));
        check(&config, "@plain/a", "https://plain.example/", None);
        check(&config, "@user/a", "https://user.example/", Some("Basic dXNlcjp3b3Jk"));
    }

    #[test]
    fn registries_have_the_name_of_npms_setting() {
        let npm =
            BTreeMap::from([("registry", "https://npm.example"), ("@a:registry", "https://a.example/x")]);
        let own = Own {
            scopes: BTreeMap::from([("@b".to_owned(), url("https://b.example").unwrap())]),
            ..Own::default()
        };
        let shown = |own: &Own| -> Vec<String> {
            own.named(&npm).iter().map(|(setting, url)| format!("{setting} {url}")).collect()
        };
        let b = "@b:registry https://b.example/";
        assert_eq!(shown(&own), ["@a:registry https://a.example/x/", b, "registry https://npm.example/"]);
        let alone = Own { registry: url("https://own.example"), alone: true, ..own };
        assert_eq!(shown(&alone), [b, "registry https://own.example/"]);
    }

    #[test]
    fn what_npm_says_stands_above_what_yarn_1_says() {
        let builtin = url("https://builtin.example").unwrap();
        let registry = |kind, npm: &str| {
            let manager = Manager { kind, program: PathBuf::new(), version: String::new() };
            let own = Own { registry: url("https://own.example"), ..Own::default() };
            own.below_npm(&manager, &BTreeMap::from([("registry", npm)]), Some(&builtin)).registry
        };
        assert_eq!(registry(Kind::YarnClassic, "https://npm.example"), None);
        assert_eq!(registry(Kind::YarnClassic, "https://builtin.example/"), url("https://own.example"));
        assert_eq!(registry(Kind::Pnpm, "https://npm.example"), url("https://own.example"));
    }

    #[test]
    fn npm_is_told_in_its_own_words() {
        let mut own = Own { registry: url("https://own.example"), alone: true, ..Own::default() };
        own.add_yarn(
            &json!({"acme": {"npmRegistryServer": "https://npm.acme.example:8443/x", "npmAuthToken": "tok"},
                "a/b\nregistry=https://evil.example/": {"npmRegistryServer": "https://evil.example"}}),
            &json!({"//plain.example": {"npmAuthToken": "a\nregistry=https://evil.example/"}}),
            &json!({"npmAuthIdent": "user:word"}),
        );
        let expected = "registry=https://own.example/\n@acme:registry=https://npm.acme.example:8443/x/\n\
            //own.example/:_auth=dXNlcjp3b3Jk\n//npm.acme.example:8443/x/:_authToken=tok\n";
        assert_eq!(own.render("registry=https://other.example/"), expected);
        assert_eq!(Own::default().render("a=b"), "a=b\n");
    }

    #[test]
    fn who_says_nothing_has_npms() {
        check(&config(Own::default()), "left-pad", "https://registry.example/", None);
    }
}
