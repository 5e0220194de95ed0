//! The registries of a run, and nothing else: scheme, host and port (RFC 6454). Looks nothing up.

use url::Url;

use crate::ProxyError;
use crate::log::shown;

/// Whom a run may talk to.
#[derive(Debug, Clone)]
pub(crate) struct Origins(Vec<Origin>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// `host:port`.
    fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl Origins {
    /// From addresses of registries.
    pub(crate) fn parse(registries: &[Url]) -> Result<Self, ProxyError> {
        let mut origins = Vec::new();
        for url in registries {
            let origin = origin_of(url).ok_or_else(|| ProxyError::Registry { url: shown(url) })?;
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
        Ok(Self(origins))
    }

    /// Whether a tunnel to `host:port` may be opened, whatever is spoken in it.
    pub(crate) fn reach(&self, authority: &str) -> bool {
        self.0.iter().any(|origin| origin.authority().eq_ignore_ascii_case(authority))
    }

    /// Whether `url` lies at one of them.
    pub(crate) fn allow(&self, url: &Url) -> bool {
        self.0.iter().any(|origin| {
            origin.scheme == url.scheme()
                && url.host_str() == Some(&origin.host)
                && url.port_or_known_default() == Some(origin.port)
        })
    }

    /// The hosts that need a certificate, each once.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let mut hosts: Vec<String> = self
            .0
            .iter()
            .filter(|origin| origin.scheme == "https")
            .map(|origin| host(&origin.authority()))
            .collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// For messages.
    pub(crate) fn names(&self) -> String {
        let names: Vec<String> = self.0.iter().map(Origin::authority).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

/// `host:port`, the port always named.
pub(crate) fn authority_of(url: &Url) -> Option<String> {
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

/// The host of `host:port`, without the brackets of an IPv6 address.
pub(crate) fn host(authority: &str) -> String {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

fn origin_of(url: &Url) -> Option<Origin> {
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    Some(Origin {
        scheme: url.scheme().to_owned(),
        host: url.host_str()?.to_owned(),
        port: url.port_or_known_default()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Origins {
        let registries = ["https://registry.example/npm/", "http://127.0.0.1:4873", "https://[::1]:8443/"];
        Origins::parse(&registries.map(|url| url.parse().unwrap())).unwrap()
    }

    #[test]
    fn scheme_host_and_port_all_count() {
        let check = |url: &str, expected: bool| {
            assert_eq!(origins().allow(&url.parse().unwrap()), expected, "{url}");
        };
        check("https://registry.example/left-pad", true);
        check("https://REGISTRY.example:443/", true);
        check("https://user@registry.example/", true);
        check("http://127.0.0.1:4873/x", true);
        check("https://[::1]:8443/x", true);
        check("http://registry.example/", false);
        check("http://registry.example:443/", false);
        check("https://registry.example:444/", false);
        check("https://registry.example./", false);
        check("https://sub.registry.example/", false);
        check("https://127.0.0.1:4873/x", false);
        check("ftp://registry.example/", false);
    }

    #[test]
    fn a_tunnel_names_its_port() {
        for (authority, expected) in [
            ("registry.example:443", true),
            ("Registry.Example:443", true),
            ("127.0.0.1:4873", true),
            ("[::1]:8443", true),
            ("registry.example", false),
            ("registry.example:0443", false),
            ("registry.example:80", false),
            ("registry.example:443:443", false),
            ("user@registry.example:443", false),
            ("evil.example:443", false),
            ("", false),
        ] {
            assert_eq!(origins().reach(authority), expected, "{authority}");
        }
    }

    #[test]
    fn an_address_without_a_host_is_no_registry() {
        for url in ["file:///x", "ftp://registry.example/", "data:text/plain,x"] {
            assert!(Origins::parse(&[url.parse().unwrap()]).is_err(), "{url}");
        }
    }

    #[test]
    fn hosts_have_no_brackets_and_no_port() {
        assert_eq!(origins().hosts(), ["::1", "registry.example"]);
    }
}
