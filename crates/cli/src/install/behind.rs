//! npm behind a proxy of ours.

use std::ffi::OsString;

use client::npm::NpmConfig;
use proxy::Running;
use url::Url;

use crate::run_with::manager::{Gateway, Kind};

/// A proxy for npm as it is configured, and what else its lockfile names.
pub(crate) fn proxy_for<'a>(config: &NpmConfig, more: impl IntoIterator<Item = &'a Url>) -> proxy::Settings {
    let mut registries: Vec<Url> =
        config.registries().cloned().chain(more.into_iter().cloned()).map(only_origin).collect();
    registries.sort();
    registries.dedup();
    proxy::Settings { registries, ..settings_for(config) }
}

/// The same, reaching nothing yet: the user's own proxy and authorities.
pub(crate) fn settings_for(config: &NpmConfig) -> proxy::Settings {
    let upstream = config.proxy();
    proxy::Settings {
        upstream_proxy: upstream.map(|proxy| proxy.url.clone()),
        upstream_no_proxy: upstream.and_then(|proxy| proxy.exceptions.clone()),
        extra_roots: config.ca_pem().unwrap_or_default().to_vec(),
        ..proxy::Settings::default()
    }
}

/// What npm is told, so that everything it fetches comes through `running`.
pub(crate) fn behind(running: &Running) -> Vec<(&'static str, OsString)> {
    let ca = running.ca_file();
    Kind::Npm.environment(&Gateway { url: running.url(), ca: &ca })
}

fn only_origin(mut url: Url) -> Url {
    url.set_path("/");
    url.set_query(None);
    url.set_fragment(None);
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}
