//! The certificate authority of one run: ECDSA P-256, valid for a day, constrained to the run's hosts (RFC
//! 5280, section 4.2.1.10), its key in memory only; and the certificates it gives to those hosts. Gives none
//! to any other.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};

use crate::ProxyError;

/// Clocks differ.
const SLACK: Duration = Duration::hours(1);

/// How long it is valid.
const LIFETIME: Duration = Duration::days(1);

/// Both have spaces, so that nobody takes them for names of hosts; and they differ, since whose issuer has
/// his own name is taken for self-signed.
const NAME: &str = "3pm, this run only";
const HOST_NAME: &str = "3pm, a registry of this run";

/// npm asks for this name when it reaches an address, instead of a name, through a proxy.
const FOR_ADDRESSES: &str = "localhost";

/// The authority, and TLS for each of its hosts.
pub(crate) struct Authority {
    certificate: rcgen::Certificate,
    configs: HashMap<String, Arc<ServerConfig>>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("hosts", &self.configs.keys()).finish_non_exhaustive()
    }
}

impl Authority {
    /// For these hosts and no others. The authority's key ends here.
    pub(crate) fn new(hosts: &[String], now: SystemTime) -> Result<Self, ProxyError> {
        let params = authority(hosts, now);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.self_signed(&key)?;
        let issuer = Issuer::new(params, key);
        let mut configs = HashMap::new();
        for host in hosts {
            configs.insert(host.clone(), Arc::new(config_for(host, now, &issuer)?));
        }
        Ok(Self { certificate, configs })
    }

    /// Its certificate.
    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// TLS as `host`, if that is one of its own.
    pub(crate) fn config_for(&self, host: &str) -> Option<Arc<ServerConfig>> {
        self.configs.get(host).cloned()
    }
}

/// What the authority may do, and for whom.
fn authority(hosts: &[String], now: SystemTime) -> CertificateParams {
    let mut params = prepared(CertificateParams::default(), NAME, now);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.name_constraints = Some(constraints(hosts));
    params
}

fn config_for(
    host: &str,
    now: SystemTime,
    issuer: &Issuer<'static, KeyPair>,
) -> Result<ServerConfig, ProxyError> {
    let mut names = vec![host.to_owned()];
    if is_address(host) {
        names.push(FOR_ADDRESSES.to_owned());
    }
    let mut params = prepared(CertificateParams::new(names)?, HOST_NAME, now);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let leaf = params.signed_by(&key, issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Some open a connection for each request, and none comes back with a ticket.
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn prepared(mut params: CertificateParams, name: &str, now: SystemTime) -> CertificateParams {
    let now = OffsetDateTime::from(now);
    params.not_before = now - SLACK;
    params.not_after = now + LIFETIME;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A kind of name that is not constrained is free, so a kind that no host has is excluded as a whole.
fn constraints(hosts: &[String]) -> NameConstraints {
    let mut permitted_subtrees: Vec<GeneralSubtree> = hosts.iter().map(|host| subtree(host)).collect();
    if hosts.iter().any(|host| is_address(host)) {
        permitted_subtrees.push(subtree(FOR_ADDRESSES));
    }
    let mut excluded_subtrees = Vec::new();
    if !permitted_subtrees.iter().any(|subtree| matches!(subtree, GeneralSubtree::DnsName(_))) {
        excluded_subtrees.push(GeneralSubtree::DnsName(String::new()));
    }
    if !permitted_subtrees.iter().any(|subtree| matches!(subtree, GeneralSubtree::IpAddress(_))) {
        excluded_subtrees.push(GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])));
        excluded_subtrees.push(GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])));
    }
    NameConstraints { permitted_subtrees, excluded_subtrees }
}

fn is_address(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}

fn subtree(host: &str) -> GeneralSubtree {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => GeneralSubtree::IpAddress(CidrSubnet::V4(address.octets(), [255; 4])),
        Ok(IpAddr::V6(address)) => GeneralSubtree::IpAddress(CidrSubnet::V6(address.octets(), [255; 16])),
        Err(_) => GeneralSubtree::DnsName(host.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(NOW)
    }

    /// An authority for `hosts`, and whether a client that trusts it takes a certificate of its key for
    /// `name`, `seconds` from now.
    fn is_taken(hosts: &[&str], name: &str, seconds: i64) -> bool {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let params = super::authority(&hosts, now());
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let mut leaf = prepared(CertificateParams::new(vec![name.to_owned()]).unwrap(), HOST_NAME, now());
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            NOW.checked_add_signed(seconds).unwrap(),
        ));
        let none: &[CertificateDer<'_>] = &[];
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(leaf.der(), none, &name, &[], at).is_ok()
    }

    #[test]
    fn its_certificates_are_taken_for_this_runs_hosts_and_no_others() {
        let check = |hosts: &[&str], name: &str, expected: bool| {
            assert_eq!(is_taken(hosts, name, 0), expected, "{hosts:?} {name}");
        };
        check(&["registry.example"], "registry.example", true);
        check(&["registry.example"], "evil.example", false);
        check(&["registry.example"], "127.0.0.1", false);
        check(&["registry.example"], "::1", false);
        check(&["127.0.0.1"], "127.0.0.1", true);
        check(&["127.0.0.1"], "127.0.0.2", false);
        check(&["127.0.0.1"], "registry.example", false);
        check(&["127.0.0.1"], "localhost", true);
        check(&["registry.example"], "localhost", false);
        check(&["::1", "a.example"], "::1", true);
        check(&["::1", "a.example"], "a.example", true);
        check(&["::1", "a.example"], "b.example", false);
        check(&["::1", "a.example"], "127.0.0.1", false);
        check(&[], "registry.example", false);
        check(&[], "127.0.0.1", false);
    }

    #[test]
    fn they_are_valid_for_a_day() {
        for (seconds, expected) in [(0, true), (86_000, true), (87_000, false), (-7200, false)] {
            assert_eq!(is_taken(&["registry.example"], "registry.example", seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn there_is_no_certificate_for_another_host() {
        let authority = Authority::new(&["registry.example".to_owned()], now()).unwrap();
        assert!(authority.config_for("registry.example").is_some());
        assert!(authority.config_for("evil.example").is_none());
    }
}
