//! TLS to a remote engine: its authority, our certificate, or no check at all where the person says so.

use std::path::Path;
use std::sync::Arc;

use runtime::registry::verifier::{Anyone, Known};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::docker::fault::Fault;
use crate::docker::place::TlsFiles;

fn broken(path: &Path, why: impl std::fmt::Display) -> Fault {
    Fault::Broken { why: format!("certificates in `{}` can't be used: {why}", path.display()) }
}

/// Makes what speaks TLS with these files.
pub(crate) fn connector(files: &TlsFiles) -> Result<TlsConnector, Fault> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::Broken { why: format!("TLS can't be set up: {error}") })?;
    let builder = builder.dangerous();
    let builder = if files.unverified {
        // `DOCKER_TLS` without `DOCKER_TLS_VERIFY`, or a context that says so.
        builder.with_custom_certificate_verifier(Arc::new(Anyone(provider)))
    } else {
        builder.with_custom_certificate_verifier(Arc::new(known(files, provider)?))
    };
    let config = match &files.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = CertificateDer::pem_file_iter(certificate)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| broken(certificate, error))?;
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| broken(key, error))?;
            builder.with_client_auth_cert(chain, secret).map_err(|error| broken(certificate, error))?
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Trusts the authority that is given, or what the host trusts.
fn known(files: &TlsFiles, provider: Arc<CryptoProvider>) -> Result<Known, Fault> {
    let mut roots = RootCertStore::empty();
    let mut own: Vec<CertificateDer<'static>> = Vec::new();
    match &files.ca {
        Some(path) => {
            let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            own = found.map_err(|error| broken(path, error))?;
            own.iter().try_for_each(|one| roots.add(one.clone())).map_err(|error| broken(path, error))?;
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Known::new(roots, own, provider).map_err(|error| Fault::Broken { why: format!("TLS can't be set up: {error}") })
}
