//! TLS to a remote engine: its authority, our certificate, or no check at all where the person says so.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

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
    let builder = if files.unverified {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
    } else {
        builder.with_root_certificates(roots(files)?)
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

fn roots(files: &TlsFiles) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    match &files.ca {
        Some(path) => {
            let found = CertificateDer::pem_file_iter(path).map_err(|error| broken(path, error))?;
            for certificate in found {
                roots.add(certificate.map_err(|error| broken(path, error))?).map_err(|error| broken(path, error))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}

/// Takes any certificate: `DOCKER_TLS` without `DOCKER_TLS_VERIFY`, or a context that says so.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
