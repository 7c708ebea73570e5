//! `MOTET_BEHIND_PROXY`: a machine whose only way out is a proxy that re-signs what it passes on.

use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};

use crate::support::engines::engines;
use crate::support::host::{Host, free_port, lacks_root, until};
use crate::support::registry::Registry;

/// A proxy with an authority of its own: `CONNECT` is answered by the proxy itself, with a certificate for whatever host was
/// asked for; `registry.test` leads to the registry, all else is a page that names the host.
const PROXY: &str = r#"
import http.server, os, socketserver, ssl, subprocess, sys, threading, urllib.request
folder, port, registry = sys.argv[1], int(sys.argv[2]), sys.argv[3]
one = threading.Lock()
def certificate(host):
    path = os.path.join(folder, host + ".pem")
    if not os.path.exists(path):
        run = lambda *args: subprocess.run(args, check=True, cwd=folder, capture_output=True)
        run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", host + ".key", "-subj", "/CN=" + host, "-out", host + ".csr")
        open(os.path.join(folder, host + ".ext"), "w").write("subjectAltName=DNS:" + host)
        run("openssl", "x509", "-req", "-in", host + ".csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", host + ".ext", "-out", host + ".crt")
        both = open(os.path.join(folder, host + ".crt")).read() + open(os.path.join(folder, host + ".key")).read()
        open(path, "w").write(both)
    return path
class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    host = None
    def log_message(self, *args): pass
    def do_CONNECT(self):
        host = self.path.split(":")[0]
        open(os.path.join(folder, "log"), "a").write("CONNECT " + host + "\n")
        self.connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with one: context.load_cert_chain(certificate(host))
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.host, self.close_connection = host, False
    def answer(self):
        if self.host is None:
            open(os.path.join(folder, "log"), "a").write("GET " + self.path + "\n")
        if self.host == "registry.test":
            length = int(self.headers.get("Content-Length") or 0)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in ("connection", "transfer-encoding")}
            request = urllib.request.Request("http://" + registry + self.path, self.rfile.read(length) if length else None, headers, method=self.command)
            try: response = urllib.request.urlopen(request)
            except urllib.error.HTTPError as error: response = error
            status, headers, body = response.status, response.headers.items(), response.read()
        else:
            status, headers, body = 200, [], ("page of " + (self.host or self.path) + "\n").encode()
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding", "content-length"): self.send_header(name, value.replace("http://" + registry, "https://registry.test"))
        self.send_header("Content-Length", str(len(body)) if self.command != "HEAD" else dict(headers).get("Content-Length", "0"))
        self.end_headers()
        if self.command != "HEAD": self.wfile.write(body)
    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = answer
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer): daemon_threads = True
Server(("0.0.0.0", port), Proxy).serve_forever()
"#;

struct Proxy {
    process: Child,
    folder: tempfile::TempDir,
    /// As containers reach it, too.
    address: String,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Proxy {
    /// Starts it; `None`, after saying so: something is missing.
    fn start(registry: &str) -> Option<Self> {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -subj /CN=proxy-authority -days 2 -out ca.crt \
                    && cat ca.crt /etc/ssl/certs/ca-certificates.crt > bundle.crt 2>/dev/null; test -s ca.crt";
        let made = Command::new("sh").args(["-c", make]).current_dir(folder.path()).output().unwrap();
        if !made.status.success() {
            println!("skipped: `openssl` is not installed");
            return None;
        }
        // The address that leads out is one of this machine that containers reach; nothing is sent.
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        if socket.connect("192.0.2.1:9").is_err() {
            println!("skipped: this machine has no address but its own");
            return None;
        }
        let (host, port) = (socket.local_addr().unwrap().ip(), free_port());
        let script = folder.path().join("proxy.py");
        std::fs::write(&script, PROXY).unwrap();
        let mut command = Command::new("python3");
        command.arg(&script).arg(folder.path()).arg(port.to_string()).arg(registry);
        let Ok(process) = command.stdout(Stdio::null()).spawn() else {
            println!("skipped: `python3` is not installed");
            return None;
        };
        let proxy = Self { process, folder, address: format!("{host}:{port}") };
        until("the proxy listens", || std::net::TcpStream::connect(&proxy.address).is_ok());
        Some(proxy)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

#[test]
fn builds_containers_and_pulls_go_through_the_proxy_and_no_image_keeps_it() {
    let (false, Some(registry)) = (lacks_root(), Registry::start()) else { return };
    let Some(proxy) = Proxy::start(&registry.address) else { return };
    let compose = "services:\n  app:\n    image: 'made:1'\n    command: sh -c 'echo $$https_proxy $$SSL_CERT_FILE; grep -c BEGIN $$SSL_CERT_FILE'\n";
    let host = Host::with("behind", compose);
    let bundle = proxy.folder.path().join("bundle.crt");
    let way = format!("http://{}", proxy.address);
    let behind = |args: &[&str]| {
        let mut command = host.command(args);
        command
            .env("MOTET_BEHIND_PROXY", "always")
            .env("SSL_CERT_FILE", &bundle)
            .env("HTTPS_PROXY", &way)
            .env("HTTP_PROXY", &way)
            .env("NO_PROXY", "internal.test");
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        crate::support::host::finish(child, &args.join(" "))
    };
    // None of these names exists: what answers is the proxy.
    host.write(
        "Dockerfile",
        "FROM stand-in:1\nADD https://files.test/f /f\n\
         RUN wget -q -O /plain http://pages.test/p && cat $SSL_CERT_FILE > /dev/null && echo told: $HTTPS_PROXY $no_proxy $PIP_CERT $(grep -c BEGIN $SSL_CERT_FILE)\n",
    );
    let told = behind(&["--progress", "plain", "image", "build", "-t", "made:1", "-t", "registry.test/made:1", "."]);
    let told = told.success().stderr;
    let count = std::fs::read_to_string(&bundle).unwrap().matches("BEGIN").count();
    let line = format!("told: {way} internal.test /run/motet/ca.crt {count}");
    assert!(told.contains(&line), "`{line}` is not in:\n{told}");
    let run = ["container", "run", "--rm", "--network", "none", "made:1", "cat", "/f", "/plain"];
    assert_eq!(host.motet(&run).success().stdout, "page of files.test\npage of http://pages.test/p\n");
    // Neither config nor history nor files of the image know of it.
    let image = host.motet(&["image", "inspect", "made:1"]).success().stdout;
    let history = host.motet(&["image", "history", "--no-trunc", "made:1"]).success().stdout;
    for word in [&*proxy.address, "/run/motet", "PIP_CERT=", "internal.test"] {
        assert!(!image.contains(word) && !history.replace("$PIP_CERT", "").contains(word), "{word}: {image}{history}");
    }
    let run = ["container", "run", "--rm", "--network", "none", "made:1", "ls", "/run/motet"];
    host.motet(&run).failure();
    // A container gets the same.
    behind(&["up", "-d"]).success();
    until("it has ended", || host.ps().iter().all(|container| container["State"] == "exited"));
    let logs = host.motet(&["logs", "--no-log-prefix"]).success().stdout;
    assert_eq!(logs, format!("{way} /run/motet/ca.crt\n{count}\n"));
    host.motet(&["down"]).success();
    // A registry that only the proxy reaches, under a certificate that only its authority vouches for.
    behind(&["image", "push", "-q", "registry.test/made:1"]).success();
    let id = host.motet(&["image", "inspect", "-f", "{{.Id}}", "made:1"]).success().stdout;
    host.motet(&["image", "rm", "registry.test/made:1"]).success();
    behind(&["image", "pull", "-q", "registry.test/made:1"]).success();
    assert_eq!(host.motet(&["image", "inspect", "-f", "{{.Id}}", "registry.test/made:1"]).success().stdout, id);
    let log = proxy.log();
    for line in ["CONNECT files.test", "CONNECT registry.test", "GET http://pages.test/p"] {
        assert!(log.contains(line), "`{line}` did not go through the proxy:\n{log}");
    }
    host.must_be_clean();
}

engines! {
    embedded: [
        builds_containers_and_pulls_go_through_the_proxy_and_no_image_keeps_it: "a Docker Engine has a proxy setting of its own",
    ],
}
