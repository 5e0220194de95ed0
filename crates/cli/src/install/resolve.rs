//! npm resolves in a private copy of the project, scripts off, with the project's dangerous settings overruled.
//! Touches nothing of the project, and judges nothing.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use client::npm::NpmClient;
use proxy::Running;
use url::Url;

use super::behind::{behind, proxy_for};
use super::errors::FlowError;
use super::foresight::Foresight;
use super::npm::{Npm, NpmRunError};
use super::project::Mirror;
use super::settings::{Phase, Settings};

/// Resolving asks the registry about every package of the tree.
const RESOLVE_LIMIT: Duration = Duration::from_secs(15 * 60);

/// What npm's words about a repository that it may not fetch begin with.
const TOLD: [&str; 3] = ["Refusing", "Fetching", "command false "];

/// With whom.
#[derive(Debug)]
pub(crate) struct Resolver<'a> {
    /// The user's npm.
    pub(crate) npm: &'a Npm,
    /// What is in force in the project.
    pub(crate) settings: &'a Settings,
    /// Its registries.
    pub(crate) client: &'a NpmClient,
    /// Whether somebody agreed to what comes from no registry: git may be run, and another host reached.
    pub(crate) allows_others: bool,
    /// In Unix seconds.
    pub(crate) now: u64,
}

impl Resolver<'_> {
    /// Leaves the lockfile of the project and `packages` in the copy.
    pub(crate) async fn resolve(&self, mirror: &Mirror, packages: &[String]) -> Result<(), FlowError> {
        let mut arguments: Vec<OsString> = vec!["install".into(), "--package-lock-only=true".into()];
        arguments.push("--no-progress".into());
        arguments.extend(self.settings.flags(Phase::Quiet));
        arguments.extend(self.settings.lockfile_version_flag());
        // A git dependency that is not in the lockfile yet means running git on what it brings, before
        // anybody could say a word about it. A URL's tarball is only read, and judged with the rest.
        // (`--allow-remote=none` would also stop registry packages that carry bundled ones.)
        if !self.allows_others {
            arguments.extend(["--allow-git=none", "--git=false"].map(OsString::from));
        }
        arguments.push("--".into());
        arguments.extend(packages.iter().map(OsString::from));
        let (behind, running) = self.foresee(mirror, &[]).await?;
        let mut resolved = behind.run(&mirror.folder(), &arguments, RESOLVE_LIMIT).await;
        // A tarball by its URL: npm reads its manifest to resolve it.
        let others = if resolved.is_err() { refused_hosts(&running) } else { BTreeSet::new() };
        if !others.is_empty() {
            if !self.allows_others {
                let hosts: Vec<&str> = others.iter().map(String::as_str).collect();
                return Err(FlowError::Source(trust::text::printable(&hosts.join(", "), 300)));
            }
            let others: Vec<Url> = others.iter().flat_map(|host| both_schemes(host)).collect();
            let (behind, _running) = self.foresee(mirror, &others).await?;
            resolved = behind.run(&mirror.folder(), &arguments, RESOLVE_LIMIT).await;
        }
        match resolved {
            // npm 10 does not know `--allow-git`, and stops at the program that stands for git.
            Err(NpmRunError::Failed { stderr, .. })
                if !self.allows_others
                    && (stderr.contains("EALLOWGIT") || stderr.contains("command false ")) =>
            {
                let detail = stderr.lines().filter_map(|line| line.trim().strip_prefix("npm error "));
                let detail: Vec<&str> =
                    detail.filter(|line| TOLD.iter().any(|told| line.starts_with(told))).collect();
                Err(FlowError::Source(trust::text::printable(&detail.join(", "), 300)))
            }
            result => result.map(|_| ()).map_err(FlowError::from),
        }
    }

    /// npm behind a proxy that has the next documents before npm asks for them, and reaches `others` besides.
    async fn foresee(&self, mirror: &Mirror, others: &[Url]) -> Result<(Npm, Running), FlowError> {
        let project = mirror.as_project();
        let (lockfile, manifest) = (project.read_lockfile()?, project.read_manifest()?);
        let foresight = Foresight::new(self.client.clone(), &[manifest], lockfile.as_deref(), self.now);
        let foresight = Arc::new(foresight);
        let folder = Some(mirror.holder().to_owned());
        let settings = proxy::Settings { folder, ..proxy_for(self.client.config(), others) };
        let running = proxy::start(settings, Arc::clone(&foresight)).await?;
        foresight.begin(running.early());
        Ok((self.npm.clone().with(behind(&running)), running))
    }
}

/// `host:port` of everything that was asked for and is no registry of the run.
fn refused_hosts(running: &Running) -> BTreeSet<String> {
    let foreign = running.log().into_iter().filter(|request| request.kind == proxy::Kind::Foreign);
    let host = |request: proxy::Passed| match request.sent_to {
        Some(url) => Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?)),
        None => Some(request.url),
    };
    foreign.filter_map(host).collect()
}

/// A tunnel does not say what is spoken in it.
fn both_schemes(host: &str) -> impl Iterator<Item = Url> {
    let host = host.rsplit_once("://").map_or(host, |(_, host)| host);
    ["https", "http"].into_iter().filter_map(move |scheme| Url::parse(&format!("{scheme}://{host}/")).ok())
}
