//! The HTTP client of one host: what it trusts, what it shows, and which proxy it goes through.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{NoProxy, Proxy};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::registry::error::PullError;
use crate::registry::settings::{HostSettings, Settings, is_loopback};
use crate::registry::verifier::{Anyone, Known};

/// Where distributions keep the host's certificates.
pub const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
const CONNECT: Duration = Duration::from_secs(10);
/// Between two pieces of an answer.
const SILENCE: Duration = Duration::from_secs(30);

/// Makes the client for `host`.
pub(crate) fn open(host: &str, configured: &HostSettings, settings: &Settings) -> Result<reqwest::Client, PullError> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls(configured, settings)?)
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .user_agent(concat!("motet/", env!("CARGO_PKG_VERSION")))
        // reqwest drops Authorization when a redirect leads to another host.
        .redirect(reqwest::redirect::Policy::custom(|attempt| {
            let downgrade =
                attempt.previous().last().is_some_and(|it| it.scheme() == "https") && attempt.url().scheme() != "https";
            match attempt.previous().len() > 5 || downgrade {
                true => attempt.stop(),
                false => attempt.follow(),
            }
        }))
        .no_proxy();
    // As curl and Go have it: what is on this machine is never reached through a proxy.
    let given =
        if is_loopback(host) { [None, None] } else { [Some(&settings.proxies.http), Some(&settings.proxies.https)] };
    let wrong = |address: &str, error: reqwest::Error| PullError::Client(format!("proxy `{address}`: {error}"));
    let mut client = client;
    for (address, make) in given.into_iter().zip([Proxy::http::<String>, Proxy::https::<String>]) {
        let Some(address) = address.and_then(Option::as_ref).filter(|it| !it.is_empty()) else { continue };
        let whole = if address.contains("://") { address.clone() } else { format!("http://{address}") };
        let proxy = make(whole).map_err(|error| wrong(address, error))?;
        client = client.proxy(proxy.no_proxy(settings.proxies.no_proxy.as_deref().and_then(NoProxy::from_string)));
    }
    client.build().map_err(|error| PullError::Client(error.to_string()))
}

/// Trusts what the host trusts and what is configured, with the provider that is linked in.
fn tls(configured: &HostSettings, settings: &Settings) -> Result<rustls::ClientConfig, PullError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| PullError::Client(error.to_string()))?;
    let builder = if configured.insecure && configured.authorities.is_empty() {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)))
    } else {
        let found = || BUNDLES.iter().map(Path::new).find(|path| path.exists());
        let mut roots = rustls::RootCertStore::empty();
        let mut own = Vec::new();
        let given = settings.ca_file.iter().chain(&configured.authorities);
        for path in given {
            own.extend(certificates(path)?);
        }
        roots.add_parsable_certificates(own.iter().cloned());
        if let (None, Some(path)) = (&settings.ca_file, found()) {
            roots.add_parsable_certificates(certificates(path)?);
        }
        if roots.is_empty() {
            // Nothing is trusted, and plain http needs nothing.
            return Ok(builder.with_root_certificates(roots).with_no_client_auth());
        }
        let known = Known::new(roots, own, provider)
            .map_err(|error| PullError::Client(format!("no certificates to trust: {error}")))?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(known))
    };
    match &configured.identity {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let wrong = |why: String| PullError::Client(format!("cannot use `{}`: {why}", key.display()));
            let shown = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(error.to_string()))?;
            builder.with_client_auth_cert(certificates(certificate)?, shown).map_err(|error| wrong(error.to_string()))
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PullError> {
    let found = CertificateDer::pem_file_iter(path)
        .map_err(|error| PullError::Client(format!("cannot read `{}`: {error}", path.display())))?;
    Ok(found.flatten().collect())
}
