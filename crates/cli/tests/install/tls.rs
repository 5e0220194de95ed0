//! A registry behind TLS, as registries are: the world's own, with a certificate authority of the test.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::harness::proxy;
use crate::harness::world::World;

/// A registry that only TLS reaches.
#[derive(Debug)]
pub struct Secure {
    /// `https://localhost:PORT/`.
    pub url: String,
    /// The certificate authority, PEM.
    pub authority: String,
    /// Every `Authorization` that came, and every path that was asked for.
    pub seen: Arc<Mutex<Seen>>,
}

/// What a registry was sent.
#[derive(Debug, Default)]
pub struct Seen {
    pub authorizations: BTreeSet<String>,
    pub paths: Vec<String>,
}

/// Starts one in front of the world's registry.
pub fn secure(world: &World) -> Secure {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let noted = Arc::clone(&seen);
    let front = proxy::start(world.registry(), move |request, upstream| {
        let mut request = request.clone();
        let mut seen = noted.lock().expect("no panic");
        seen.paths.push(request.path.clone());
        for (name, value) in &request.headers {
            if name.eq_ignore_ascii_case("authorization") {
                seen.authorizations.insert(value.clone());
            }
        }
        drop(seen);
        // Verdaccio knows no such token; who may read is not its matter here.
        request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
        request.headers.push(("x-forwarded-proto".into(), "https".into()));
        upstream.ask(&request)
    });
    let (config, authority) = certificates();
    let port = listen(config, front.trim_start_matches("http://").trim_end_matches('/').to_owned());
    Secure { url: format!("https://localhost:{port}/"), authority, seen }
}

fn certificates() -> (Arc<rustls::ServerConfig>, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = params.self_signed(&key).expect("a certificate");
    let issuer = Issuer::new(params, key);
    let leaf_key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let leaf = leaf.signed_by(&leaf_key, &issuer).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect("a certificate");
    (Arc::new(config), authority.pem())
}

/// Ends TLS for `upstream`, for as long as the test's process lives; returns the port.
fn listen(config: Arc<rustls::ServerConfig>, upstream: String) -> u16 {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a loopback port");
            sender.send(listener.local_addr().expect("an address").port()).expect("a reader");
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let (acceptor, upstream) = (TlsAcceptor::from(Arc::clone(&config)), upstream.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let Ok(mut plain) = TcpStream::connect(upstream).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut plain).await;
                });
            }
        });
    });
    receiver.recv().expect("a port")
}
