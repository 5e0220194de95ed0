//! Who is believed about a server's certificate: the system's authorities, and those that the user names.
//!
//! Reading the system's takes milliseconds, a run that is short may speak TLS with nobody, and whoever names authorities
//! has registries behind them: the system's are read at the first handshake that needs them, once for the whole process.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

/// Why the user's own authorities cannot be believed.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// No PEM.
    #[error("they are not PEM")]
    Pem(#[from] pem::Error),
    /// No certificate, or none of an authority.
    #[error("one of them is not a certificate of an authority")]
    Certificate(#[from] Error),
}

/// How a client speaks TLS that also believes the authorities of `pem`, with these application protocols (ALPN, RFC
/// 7301), the one it likes best first.
pub fn config(pem: &[u8], protocols: &[&str]) -> Result<ClientConfig, AuthorityError> {
    let authorities = Authorities::with(pem)?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&authorities.provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(authorities);
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Ok(config)
}

/// The system's authorities, read when they are needed, and some more.
#[derive(Debug)]
struct Authorities {
    more: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    /// Believes only `more`.
    named: Option<Arc<WebPkiServerVerifier>>,
    /// Believes `more` and the system's.
    all: OnceLock<Result<Verifier, Error>>,
}

impl Authorities {
    /// Those of this process that go with `pem`; a process has few of them.
    fn with(pem: &[u8]) -> Result<Arc<Self>, AuthorityError> {
        static KNOWN: Mutex<Vec<Arc<Authorities>>> = Mutex::new(Vec::new());
        let more: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>()?;
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = known.iter().find(|known| known.more == more) {
            return Ok(Arc::clone(same));
        }
        let mut store = RootCertStore::empty();
        more.iter().try_for_each(|authority| store.add(authority.clone()))?;
        let provider = Arc::new(ring::default_provider());
        // None, where nobody is named.
        let named =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider)).build().ok();
        let authorities = Arc::new(Self { more, provider, named, all: OnceLock::new() });
        known.push(Arc::clone(&authorities));
        Ok(authorities)
    }

    fn all(&self) -> Result<&Verifier, Error> {
        let read = || Verifier::new_with_extra_roots(self.more.iter().cloned(), Arc::clone(&self.provider));
        self.all.get_or_init(read).as_ref().map_err(Clone::clone)
    }
}

impl ServerCertVerifier for Authorities {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verify = |verifier: &dyn ServerCertVerifier| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        let by_named = self.named.as_deref().and_then(|named| verify(named).ok());
        // Whom neither believes is refused in the words of the second, which also knows the named ones.
        by_named.map_or_else(|| verify(self.all()?), Ok)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::sign::{CertifiedKey, SingleCertAndKey};
    use rustls::version::{TLS12, TLS13};
    use rustls::{ClientConnection, ServerConfig, ServerConnection, SupportedProtocolVersion};

    use super::*;

    /// A certificate for `a.example`, and the authority behind it (PEM).
    fn issued() -> (CertificateDer<'static>, String) {
        let (certificate, _, authority) = issued_with_key();
        (certificate, authority)
    }

    fn issued_with_key() -> (CertificateDer<'static>, KeyPair, String) {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = params.self_signed(&key).expect("an authority").pem();
        let leaf = CertificateParams::new(vec!["a.example".to_owned()]).expect("a name");
        let leaf_key = KeyPair::generate().expect("a key");
        let leaf = leaf.signed_by(&leaf_key, &Issuer::new(params, key)).expect("a certificate");
        (leaf.der().clone(), leaf_key, authority)
    }

    /// A handshake with a server that shows `certificate` and signs with `key`; the protocol that they agreed on.
    fn shake(
        version: &'static SupportedProtocolVersion,
        certificate: &CertificateDer<'static>,
        key: &KeyPair,
        authority: &str,
    ) -> Result<Option<Vec<u8>>, Error> {
        let provider = Arc::new(ring::default_provider());
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let key = provider.key_provider.load_private_key(key)?;
        let shown = SingleCertAndKey::from(CertifiedKey::new(vec![certificate.clone()], key));
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version])?;
        let mut server = builder.with_no_client_auth().with_cert_resolver(Arc::new(shown));
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        let client = config(authority.as_bytes(), &["h2", "http/1.1"]).expect("authorities");
        let name = ServerName::try_from("a.example").expect("a name");
        let mut client = ClientConnection::new(Arc::new(client), name)?;
        let mut server = ServerConnection::new(Arc::new(server))?;
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).expect("memory");
            }
            let mut rest = &wire[..];
            while !rest.is_empty() {
                server.read_tls(&mut rest).expect("memory");
                server.process_new_packets()?;
            }
            wire.clear();
            while server.wants_write() {
                server.write_tls(&mut wire).expect("memory");
            }
            let mut rest = &wire[..];
            while !rest.is_empty() {
                client.read_tls(&mut rest).expect("memory");
                client.process_new_packets()?;
            }
        }
        Ok(client.alpn_protocol().map(<[u8]>::to_vec))
    }

    fn verify(authorities: &Authorities, certificate: &CertificateDer<'_>, name: &str) -> Result<(), Error> {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        authorities.verify_server_cert(certificate, &[], &name, &[], UnixTime::now()).map(drop)
    }

    #[test]
    fn who_is_named_is_believed_for_the_name_in_the_certificate_and_nobody_else_is() {
        let (certificate, authority) = issued();
        let (_, other) = issued();
        let with = |pem: &str| Authorities::with(pem.as_bytes()).expect("authorities");
        assert_eq!(verify(&with(&authority), &certificate, "a.example"), Ok(()));
        assert_eq!(verify(&with(&format!("{other}{authority}")), &certificate, "a.example"), Ok(()));
        assert!(verify(&with(&authority), &certificate, "b.example").is_err());
        assert!(verify(&with(&other), &certificate, "a.example").is_err());
        assert!(verify(&with(""), &certificate, "a.example").is_err());
    }

    /// Runs itself once more, because what the system's authorities are stands in the environment (rustls-native-certs).
    #[cfg(target_os = "linux")]
    #[test]
    fn the_systems_authorities_are_believed_beside_those_that_are_named() {
        const LEAF: &str = "TEST_LEAF_OF_THE_SYSTEMS";
        let (_, other) = issued();
        if let Some(leaf) = std::env::var_os(LEAF) {
            let leaf = CertificateDer::from(std::fs::read(leaf).expect("a certificate"));
            for named in ["", &other] {
                let authorities = Authorities::with(named.as_bytes()).expect("authorities");
                assert_eq!(verify(&authorities, &leaf, "a.example"), Ok(()));
                assert!(verify(&authorities, &leaf, "b.example").is_err());
            }
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let (system, leaf) = (folder.path().join("system.pem"), folder.path().join("leaf.der"));
        let (certificate, authority) = issued();
        std::fs::write(&leaf, &certificate).expect("a file");
        let again = |authorities: &str| {
            std::fs::write(&system, authorities).expect("a file");
            let mut test = std::process::Command::new(std::env::current_exe().expect("this test"));
            test.args([
                "--exact",
                "tls::tests::the_systems_authorities_are_believed_beside_those_that_are_named",
            ]);
            test.env(LEAF, &leaf).env("SSL_CERT_FILE", &system).env_remove("SSL_CERT_DIR");
            test.output().expect("this test")
        };
        let believed = again(&authority);
        assert!(believed.status.success(), "{}", String::from_utf8_lossy(&believed.stdout));
        assert!(!again(&other).status.success());
    }

    #[test]
    fn a_certificate_is_worth_nothing_without_its_key() {
        let (certificate, key, authority) = issued_with_key();
        let other = KeyPair::generate().expect("a key");
        for version in [&TLS12, &TLS13] {
            let with = |key: &KeyPair| shake(version, &certificate, key, &authority);
            assert_eq!(with(&key), Ok(Some(b"http/1.1".to_vec())), "{version:?}");
            let refused = with(&other);
            assert!(matches!(refused, Err(Error::InvalidCertificate(_))), "{version:?}: {refused:?}");
        }
    }

    #[test]
    fn the_systems_authorities_are_read_when_they_are_needed_and_once() {
        let (certificate, authority) = issued();
        let (foreign, _) = issued();
        let first = Authorities::with(authority.as_bytes()).expect("authorities");
        verify(&first, &certificate, "a.example").expect("a certificate that is believed");
        assert!(first.all.get().is_none());
        verify(&first, &foreign, "a.example").expect_err("a certificate of nobody");
        assert!(first.all.get().is_some());
        let second = Authorities::with(authority.as_bytes()).expect("authorities");
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn what_is_no_certificate_is_said_before_anybody_is_asked() {
        let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        assert!(matches!(config(broken.as_bytes(), &[]), Err(AuthorityError::Pem(_))));
        let other = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(config(other.as_bytes(), &[]), Err(AuthorityError::Certificate(_))));
    }
}
