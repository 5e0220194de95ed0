//! The client for the registries: follows no redirect by itself, unpacks nothing by itself, goes through the
//! user's own proxy where there is one, and trusts the system's authorities and the user's own.

use reqwest::{Certificate, Client, Proxy, redirect};

use crate::{ProxyError, Settings};

/// Makes it.
pub(crate) fn client(settings: &Settings) -> Result<Client, ProxyError> {
    // The provider of the whole process; a second call finds it set.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .no_gzip()
        .http1_only()
        .no_proxy()
        .referer(false)
        .connect_timeout(settings.limits.connect)
        .pool_max_idle_per_host(64)
        .user_agent("");
    let extra = Certificate::from_pem_bundle(&settings.extra_roots)?;
    if !extra.is_empty() {
        builder = builder.tls_certs_merge(extra);
    }
    if let Some(proxy) = &settings.upstream_proxy {
        builder = builder.proxy(Proxy::all(proxy.clone())?);
    }
    Ok(builder.build()?)
}
