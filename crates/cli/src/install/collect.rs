//! Stands behind the proxy while npm unpacks a checked lockfile: hands out the tarballs of that lockfile and
//! no other bytes, and keeps their file lists for the comparison on disk. Judges nobody: that was done.
//! Fetches ahead what npm's cache does not hold, as soon as the tree is known.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use client::npm::{NpmClient, NpmConfig};
use futures_util::{StreamExt as _, stream};
use proxy::{Ahead, Asked, Gate, Ruling, Running};
use trust::Integrity;
use url::Url;

use super::assess::{self, Finding, chain_of};
use super::entries::{Checked, Source, Tarball};
use super::npm_cache;
use super::unpacked::Files;
use crate::run_with::lists::Lists;
use crate::run_with::manager::{Gateway, Kind};

/// Tarballs fetched at once for the comparison.
const PARALLEL: usize = 8;

/// What npm may have, and what it had.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    wanted: BTreeSet<Integrity>,
    lists: Mutex<BTreeMap<Integrity, Arc<Files>>>,
    refused: Mutex<Vec<String>>,
}

impl Gate for Collector {
    async fn tarball(&self, asked: &Asked, bytes: Bytes) -> Ruling {
        let read = tokio::task::spawn_blocking(move || assess::read(&bytes)).await;
        let refusal = match read {
            Ok(fetched) if !self.wanted.contains(&fetched.hashes.integrity) => {
                format!(
                    "{} gives other bytes than the checked lockfile names: {}",
                    asked.url.path(),
                    fetched.hashes.integrity
                )
            }
            Ok(fetched) => match fetched.read {
                Ok(read) => {
                    lock(&self.lists).insert(fetched.hashes.integrity, read.files);
                    return Ruling::Release;
                }
                Err(reason) => {
                    format!("{} is not a tarball that every reader reads alike: {reason}", asked.url.path())
                }
            },
            Err(error) => format!("{} could not be read: {error}", asked.url.path()),
        };
        lock(&self.refused).push(refusal.clone());
        Ruling::Refuse { message: refusal }
    }

    async fn document(&self, _: &Asked, _: Bytes) -> Ruling {
        // npm asks for documents of what it does not find in its cache; it installs by the lockfile alone.
        Ruling::Release
    }
}

/// A proxy that serves a checked tree.
#[derive(Debug)]
pub(crate) struct Counter {
    collector: Arc<Collector>,
    running: Running,
}

impl Counter {
    /// Opens it for the tarballs of `checked`, and begins to fetch what `cache` does not hold.
    pub(crate) async fn open(
        checked: &Checked,
        npm: &NpmClient,
        more: Option<&Url>,
        cache: Option<&Path>,
    ) -> Result<Self, proxy::ProxyError> {
        let tarballs: Vec<&Tarball> = checked
            .values()
            .filter_map(|source| match source {
                Ok(Source::Tarball(tarball)) => Some(tarball),
                _ => None,
            })
            .collect();
        let wanted = tarballs.iter().map(|tarball| tarball.integrity).collect();
        let collector = Arc::new(Collector { wanted, ..Collector::default() });
        let urls = tarballs.iter().filter_map(|tarball| tarball.url.as_ref());
        let settings = proxy_for(npm.config(), more.into_iter().chain(urls));
        let running = proxy::start(settings, Arc::clone(&collector)).await?;
        let mut seen = BTreeSet::new();
        let ahead = tarballs.into_iter().filter(|tarball| {
            seen.insert(tarball.integrity)
                && !cache.is_some_and(|cache| npm_cache::holds(cache, &tarball.integrity))
        });
        running.fetch_ahead(ahead.filter_map(|tarball| {
            let url = tarball.url.clone()?;
            let authorization = npm.config().authorization_for(&url).map(|value| value.into_header_value());
            Some(Ahead { authorization, ..Ahead::from(url) })
        }));
        Ok(Self { collector, running })
    }

    /// What npm is told, so that everything it fetches comes from here.
    pub(crate) fn environment(&self) -> Vec<(&'static str, OsString)> {
        behind(&self.running)
    }

    /// Why something was not handed out.
    pub(crate) fn refusals(&self) -> Vec<String> {
        lock(&self.collector.refused).clone()
    }

    /// The file lists of all tarballs of `checked`, by location: those that came through here, those that
    /// earlier runs saw, and for the rest the tarball is fetched now. One that cannot be had is missing.
    pub(crate) async fn files(
        &self,
        checked: &Checked,
        findings: &[Finding],
        npm: &NpmClient,
        lists: &Lists,
    ) -> BTreeMap<String, Arc<Files>> {
        let mut known: BTreeMap<Integrity, Arc<Files>> = lock(&self.collector.lists).clone();
        for finding in findings {
            if let (Ok(Source::Tarball(tarball)), Some(files)) = (&finding.subject.source, &finding.files) {
                known.insert(tarball.integrity, Arc::clone(files));
            }
        }
        let mut missing: BTreeMap<Integrity, &Tarball> = BTreeMap::new();
        for source in checked.values() {
            let Ok(Source::Tarball(tarball)) = source else { continue };
            if known.contains_key(&tarball.integrity) {
                continue;
            }
            let version = tarball.version.as_ref().map(ToString::to_string).unwrap_or_default();
            let listed = lists.read(&tarball.name, &version);
            match listed.into_iter().find(|(integrity, _)| *integrity == tarball.integrity) {
                Some((integrity, files)) => _ = known.insert(integrity, files),
                None => _ = missing.insert(tarball.integrity, tarball),
            }
        }
        let fetched: Vec<_> = stream::iter(missing)
            .map(|(integrity, tarball)| async move { Some((integrity, fetch(tarball, npm).await?)) })
            .buffer_unordered(PARALLEL)
            .collect()
            .await;
        known.extend(fetched.into_iter().flatten());
        let located = checked.iter().filter_map(|(location, source)| match source {
            Ok(Source::Tarball(tarball)) => {
                Some((location.clone(), Arc::clone(known.get(&tarball.integrity)?)))
            }
            _ => None,
        });
        located.collect()
    }
}

/// A proxy for npm as it is configured, and what else its lockfile names.
pub(crate) fn proxy_for<'a>(config: &NpmConfig, more: impl IntoIterator<Item = &'a Url>) -> proxy::Settings {
    let mut registries: Vec<Url> =
        config.registries().cloned().chain(more.into_iter().cloned()).map(only_origin).collect();
    registries.sort();
    registries.dedup();
    proxy::Settings {
        registries,
        upstream_proxy: crate::run_with::upstream_proxy(),
        upstream_no_proxy: crate::run_with::upstream_no_proxy(),
        extra_roots: config.ca_pem().unwrap_or_default().to_vec(),
        ..proxy::Settings::default()
    }
}

/// What npm is told, so that everything it fetches comes through `running`.
pub(crate) fn behind(running: &Running) -> Vec<(&'static str, OsString)> {
    let (ca, bundle) = (running.ca_file(), running.bundle_file());
    Kind::Npm.environment(&Gateway { url: running.url(), ca: &ca, bundle: &bundle })
}

/// Fetches a tarball for its list; other bytes than the lockfile names give none.
async fn fetch(tarball: &Tarball, npm: &NpmClient) -> Option<Arc<Files>> {
    let url = match &tarball.url {
        Some(url) => url.clone(),
        None => {
            let version = tarball.version.as_ref()?.to_string();
            npm.fetch_packument(&tarball.name).await.ok()??.version(&version).ok()??.tarball
        }
    };
    let bytes = match npm.fetch_tarball(&url).await {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::warn!("{}", chain_of(&error));
            return None;
        }
    };
    let fetched = tokio::task::spawn_blocking(move || assess::read(&bytes)).await.ok()?;
    (fetched.hashes.integrity == tarball.integrity).then_some(fetched.read.ok()?.files)
}

fn only_origin(mut url: Url) -> Url {
    url.set_path("/");
    url.set_query(None);
    url.set_fragment(None);
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
