//! Pulls from Debian's real registry where it is installed, and from a hostile one that is scripted here.

mod peers;
mod round_trips;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::Runtime;
use crate::image::config::ImageConfig;
use crate::image::digest::Digest;
use crate::image::layers;
use crate::image::manifest::Platform;
use crate::image::reference::Reference;
use crate::image::store::{self, Image};
use crate::progress::Silent;
use crate::registry::client::Settings;
use crate::registry::error::PullError;
use crate::registry::pull::pull;
use crate::registry::tests::peers::Peer;
use crate::state::layout::Layout;

fn scratch() -> (tempfile::TempDir, Runtime) {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let rt = Runtime::open(Layout::under(folder.path())).unwrap();
    (folder, rt)
}

fn layer(name: &str, content: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    builder.append_data(&mut header, name, content).unwrap();
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// An image's blobs by digest, and its manifest.
struct Sample {
    blobs: BTreeMap<String, Vec<u8>>,
    manifest: Vec<u8>,
    config: Digest,
    packed: Vec<Digest>,
}

fn sample() -> Sample {
    let plain = [layer("a", b"first"), layer("b", &[7; 300_000])];
    let mut config = ImageConfig::empty();
    config.rootfs.diff_ids = plain.iter().map(|bytes| Digest::of(bytes)).collect();
    config.config.cmd = Some(vec!["sh".into()]);
    let config = config.to_json();
    let packed = [gzip(&plain[0]), zstd::encode_all(&plain[1][..], -7).unwrap()];
    let describe = |kind: &str, bytes: &[u8]| serde_json::json!({"mediaType": kind, "digest": Digest::of(bytes).to_string(), "size": bytes.len()});
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": describe("application/vnd.oci.image.config.v1+json", &config),
        "layers": [describe("application/vnd.oci.image.layer.v1.tar+gzip", &packed[0]), describe("application/vnd.oci.image.layer.v1.tar+zstd", &packed[1])],
    });
    let blobs = [config.clone(), packed[0].clone(), packed[1].clone()];
    Sample {
        blobs: blobs.into_iter().map(|bytes| (Digest::of(&bytes).to_string(), bytes)).collect(),
        manifest: manifest.to_string().into_bytes(),
        config: Digest::of(&config),
        packed: packed.iter().map(|bytes| Digest::of(bytes)).collect(),
    }
}

/// What the scripted registry does with one request.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Bytes of the body after which the connection is cut.
    cut: Option<usize>,
}

impl Answer {
    fn ok(body: &[u8]) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.to_vec(), cut: None }
    }

    fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), cut: None }
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// A request: path with query, headers in lower case.
type Request = (String, BTreeMap<String, String>);
type Script = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

/// Serves until the test process ends; returns host and port.
fn serve(script: Script) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let script = Arc::clone(&script);
            std::thread::spawn(move || answer(stream, &*script));
        }
    });
    address
}

fn answer(mut stream: TcpStream, script: &(dyn Fn(&Request) -> Answer + Send + Sync)) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(first)) = lines.next() else { return };
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let headers = lines.map_while(Result::ok).take_while(|line| !line.is_empty());
    let headers = headers.filter_map(|line| line.split_once(": ").map(|(k, v)| (k.to_lowercase(), v.to_owned())));
    let answer = script(&(path, headers.collect()));
    let mut head =
        format!("HTTP/1.1 {} x\r\nconnection: close\r\ncontent-length: {}\r\n", answer.status, answer.body.len());
    head.extend(answer.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
    let _ = stream.write_all(format!("{head}\r\n").as_bytes());
    let _ = stream.write_all(&answer.body[..answer.cut.unwrap_or(answer.body.len())]);
}

/// Serves the sample as it should be.
fn honest(sample: &Sample, path: &str) -> Answer {
    let last = path.rsplit('/').next().unwrap_or_default();
    if path.contains("/manifests/") {
        return Answer::ok(&sample.manifest);
    }
    sample.blobs.get(last).map_or_else(|| Answer::status(404), |bytes| Answer::ok(bytes))
}

fn try_pull(rt: &Runtime, address: &str, settings: &Arc<Settings>) -> Result<Image, PullError> {
    let reference = Reference::parse(&format!("{address}/me/app:1")).unwrap();
    pull(rt, &reference, &Platform::host(), settings, &Silent)
}

/// Pulls from a script and checks that a failure leaves nothing.
fn refused(script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> PullError {
    let (_folder, rt) = scratch();
    let error = try_pull(&rt, &serve(Arc::new(script)), &Arc::default()).unwrap_err();
    assert!(store::list(&rt).unwrap().is_empty());
    assert_eq!(std::fs::read_dir(rt.layout.staging()).unwrap().count(), 0);
    error
}

fn check_image(rt: &Runtime, image: &Image, sample: &Sample) {
    assert_eq!(image.id, sample.config);
    let lower = store::lower_directories(rt, &image.diff_ids).unwrap();
    assert_eq!(std::fs::read_to_string(lower[0].join("a")).unwrap(), "first");
    assert_eq!(std::fs::read(lower[1].join("b")).unwrap(), [7; 300_000]);
}

#[test]
fn an_image_is_pulled_and_found_by_tag_and_manifest_digest() {
    let (_folder, rt) = scratch();
    let served = sample();
    let address = serve(Arc::new(move |(path, _)| honest(&served, path)));
    let image = try_pull(&rt, &address, &Arc::default()).unwrap();
    check_image(&rt, &image, &sample());
    assert_eq!(image.references, [format!("{address}/me/app:1")]);
    let by_digest = format!("{address}/me/app@{}", Digest::of(&sample().manifest));
    assert_eq!(store::find(&rt, &by_digest).unwrap().unwrap().id, image.id);
}

#[test]
fn tokens_are_asked_for_with_the_login_and_refusals_end_it() {
    let (folder, rt) = scratch();
    let served = sample();
    let address = Arc::new(Mutex::new(String::new()));
    let own = Arc::clone(&address);
    let script = move |(path, headers): &Request| {
        if path.starts_with("/token") {
            assert_eq!(headers.get("authorization").map(String::as_str), Some("Basic bWU6c2VjcmV0"));
            assert!(path.contains("scope=repository%3Ame%2Fapp%3Apull") && path.contains("service=here"), "{path}");
            return Answer::ok(br#"{"token":"t0k"}"#);
        }
        match headers.get("authorization").map(String::as_str) {
            Some("Bearer t0k") => honest(&served, path),
            _ => {
                let realm = format!("http://{}/token", own.lock().unwrap());
                let challenge = format!(r#"Bearer realm="{realm}",service="here",scope="repository:me/app:pull""#);
                Answer::status(401).header("www-authenticate", &challenge)
            }
        }
    };
    *address.lock().unwrap() = serve(Arc::new(script));
    let address = address.lock().unwrap().clone();
    let config = folder.path().join("config.json");
    std::fs::write(&config, format!(r#"{{"auths":{{"{address}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#)).unwrap();
    let settings = Arc::new(Settings { docker_config: Some(config), ..Settings::default() });
    check_image(&rt, &try_pull(&rt, &address, &settings).unwrap(), &sample());

    let always = refused(|_| Answer::status(401).header("www-authenticate", "Basic realm=x"));
    assert!(matches!(always, PullError::Permission { status: 401, .. }), "{always}");
    assert!(matches!(refused(|_| Answer::status(403)), PullError::Permission { status: 403, .. }));
    assert!(matches!(refused(|_| Answer::status(404)), PullError::NotFound { .. }));
    assert!(matches!(refused(|_| Answer::status(429)), PullError::RateLimit { .. }));
}

#[test]
fn a_cut_connection_is_resumed_where_it_broke() {
    let (_folder, rt) = scratch();
    let served = sample();
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&ranges);
    let big = sample().packed[0].to_string();
    let script = move |(path, headers): &Request| {
        let mut answer = honest(&served, path);
        if !path.ends_with(&big) {
            return answer;
        }
        match headers.get("range") {
            None => answer.cut = Some(100),
            Some(range) => {
                seen.lock().unwrap().push(range.clone());
                let from: usize = range["bytes=".len()..range.len() - 1].parse().unwrap();
                answer.body.drain(..from);
                answer.status = 206;
            }
        }
        answer
    };
    check_image(&rt, &try_pull(&rt, &serve(Arc::new(script)), &Arc::default()).unwrap(), &sample());
    assert_eq!(*ranges.lock().unwrap(), ["bytes=100-"]);
}

#[test]
fn wrong_bytes_and_wrong_sizes_are_refused() {
    let wrong = |change: fn(&mut Vec<u8>)| {
        let served = sample();
        let blob = sample().packed[0].to_string();
        refused(move |(path, _)| {
            let mut answer = honest(&served, path);
            if path.ends_with(&blob) {
                change(&mut answer.body);
            }
            answer
        })
    };
    let flipped = wrong(|body| body[40] ^= 1);
    assert!(matches!(flipped, PullError::Digest { .. }), "{flipped}");
    let longer = wrong(|body| body.resize(body.len() + 1, 0));
    assert!(matches!(longer, PullError::Size { .. }), "{longer}");
    let served = sample();
    let other_config = refused(move |(path, _)| match path.ends_with(&sample().config.to_string()) {
        true => Answer::ok(b"{}"),
        false => honest(&served, path),
    });
    assert!(matches!(other_config, PullError::Digest { .. }), "{other_config}");
    assert!(matches!(refused(|_| Answer::ok(b"<html>login</html>")), PullError::Manifest(_)));
}

#[test]
fn an_index_is_followed_but_not_for_ever() {
    let nested = |platform: &str, target: &[u8]| {
        let (os, architecture) = platform.split_once('/').unwrap();
        serde_json::json!({"manifests": [{"digest": Digest::of(target).to_string(), "size": target.len(),
            "platform": {"os": os, "architecture": architecture}}]})
        .to_string()
        .into_bytes()
    };
    let host = Platform::host().to_string();
    // Four indexes, each of the next.
    let mut chain = vec![sample().manifest];
    for _ in 0..4 {
        chain.push(nested(&host, chain.last().unwrap()));
    }
    let error = refused(move |(path, _)| {
        let found = chain.iter().find(|bytes| path.ends_with(&Digest::of(bytes).to_string()));
        Answer::ok(found.unwrap_or(chain.last().unwrap()))
    });
    assert!(matches!(error, PullError::Document(_)), "{error}");
    let other = nested("plan9/mips", &sample().manifest);
    let error = refused(move |_| Answer::ok(&other));
    assert!(error.to_string().ends_with("there is plan9/mips"), "{error}");
}

#[test]
fn a_redirect_to_another_host_does_not_carry_the_token() {
    let (folder, rt) = scratch();
    let served = sample();
    let elsewhere = serve(Arc::new(move |(path, headers)| {
        assert!(!headers.contains_key("authorization"), "the token was sent to another host");
        honest(&served, path)
    }));
    let served = sample();
    // Another port is another host.
    let address = serve(Arc::new(move |(path, headers)| {
        if !headers.contains_key("authorization") {
            return Answer::status(401).header("www-authenticate", "Basic realm=x");
        }
        match path.contains("/blobs/") {
            true => Answer::status(307).header("location", &format!("http://{elsewhere}{path}")),
            false => honest(&served, path),
        }
    }));
    let config = folder.path().join("config.json");
    std::fs::write(&config, format!(r#"{{"auths":{{"{address}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#)).unwrap();
    let settings = Arc::new(Settings { docker_config: Some(config), ..Settings::default() });
    check_image(&rt, &try_pull(&rt, &address, &settings).unwrap(), &sample());
    let error = refused(|_| Answer::status(302).header("location", "file:///etc/passwd"));
    assert!(!matches!(error, PullError::Document(_)), "{error}");
}

#[test]
fn an_unknown_name_and_a_closed_port_are_told_apart() {
    let (_folder, rt) = scratch();
    let started = std::time::Instant::now();
    let error = try_pull(&rt, "no-such-host.invalid", &Arc::default()).unwrap_err();
    assert!(matches!(error, PullError::Name { .. }), "{error}");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = try_pull(&rt, &port.to_string(), &Arc::default()).unwrap_err();
    assert!(matches!(error, PullError::Network { .. }), "{error}");
    assert!(started.elapsed().as_secs() < 10);
}

/// Sends one request and returns status, headers and body.
fn send(address: &str, method: &str, path: &str, kind: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

#[test]
fn a_real_registry_serves_an_image() {
    let Some(registry) = Peer::start("") else { return };
    let sample = sample();
    for (digest, bytes) in &sample.blobs {
        let (status, answer) = send(&registry.address, "POST", "/v2/me/app/blobs/uploads/", "text/plain", b"");
        assert_eq!(status, 202, "{answer}");
        let location = answer.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap().trim();
        let path = &location[location.find("/v2/").unwrap()..];
        let path = format!("{path}&digest={digest}");
        assert_eq!(send(&registry.address, "PUT", &path, "application/octet-stream", bytes).0, 201);
    }
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let (status, answer) = send(&registry.address, "PUT", "/v2/me/app/manifests/1", kind, &sample.manifest);
    assert_eq!(status, 201, "{answer}");

    let (_folder, rt) = scratch();
    let image = try_pull(&rt, &registry.address, &Arc::default()).unwrap();
    check_image(&rt, &image, &sample);
    // Once more: nothing is fetched but the manifest and the config.
    assert_eq!(try_pull(&rt, &registry.address, &Arc::default()).unwrap().id, image.id);
    assert!(image.diff_ids.iter().all(|id| layers::find(&rt, id).is_some()));
    let missing = Reference::parse(&format!("{}/me/app:2", registry.address)).unwrap();
    let error = pull(&rt, &missing, &Platform::host(), &Arc::default(), &Silent).unwrap_err();
    assert!(matches!(error, PullError::NotFound { .. }), "{error}");
}
