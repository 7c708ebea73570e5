//! An ssh agent of our own over private key files, for `--ssh id=FILE`: it lists the keys and signs with them, nothing else.
//!
//! Messages: draft-ietf-sshm-ssh-agent. Key files: OpenSSH's `PROTOCOL.key`, PKCS #1 and PKCS #8 (what `ssh-keygen` has written).

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use ring::rand::SystemRandom;
use ring::rsa;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA512,
};

use crate::registry::auth::from_base64;

/// Why a key file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot read ssh key `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{path}` is no private ssh key: {why}")]
    NoKey { path: PathBuf, why: &'static str },
    #[error(
        "ssh key `{path}` is locked by a passphrase: load it into an agent by `ssh-add {path}`, and name that by `--ssh default`"
    )]
    Locked { path: PathBuf },
    #[error(
        "ssh key `{path}` is of the kind `{kind}`, which only an agent can use: load it by `ssh-add {path}`, and name that by `--ssh default`"
    )]
    Kind { path: PathBuf, kind: String },
}

/// Keys, and what is said about them.
#[derive(Debug)]
pub struct Keyring(Vec<Key>);

struct Key {
    /// As it is sent to servers.
    public: Vec<u8>,
    comment: Vec<u8>,
    secret: Secret,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", String::from_utf8_lossy(&self.comment))
    }
}

enum Secret {
    Ed25519(Ed25519KeyPair),
    Rsa(Box<rsa::KeyPair>),
    Ecdsa(&'static str, EcdsaKeyPair),
}

const FAILURE: u8 = 5;
const LIST: u8 = 11;
const LISTED: u8 = 12;
const SIGN: u8 = 13;
const SIGNED: u8 = 14;
/// No message of those is longer.
const LONGEST: usize = 256 << 10;
const SHA_256: u32 = 2;
const SHA_512: u32 = 4;

impl Keyring {
    /// Reads key files.
    pub fn read(paths: &[PathBuf]) -> Result<Self, KeyError> {
        paths.iter().map(|path| read(path)).collect::<Result<_, _>>().map(Self)
    }

    /// Answers until the other side is done.
    pub fn serve(&self, mut stream: &UnixStream) -> io::Result<()> {
        loop {
            let mut length = [0; 4];
            match stream.read_exact(&mut length) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                other => other?,
            }
            let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            if length > LONGEST {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut message = vec![0; length];
            stream.read_exact(&mut message)?;
            let answer = self.answer(&message).unwrap_or_else(|| vec![FAILURE]);
            stream.write_all(&string(&answer))?;
        }
    }

    fn answer(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut rest = message.get(1..)?;
        match message[0] {
            LIST => {
                let mut answer = vec![LISTED];
                answer.extend(u32::try_from(self.0.len()).ok()?.to_be_bytes());
                for key in &self.0 {
                    answer.extend(string(&key.public));
                    answer.extend(string(&key.comment));
                }
                Some(answer)
            }
            SIGN => {
                let (public, data) = (take(&mut rest)?, take(&mut rest)?);
                let flags = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?);
                let key = self.0.iter().find(|key| key.public == public)?;
                Some([vec![SIGNED], string(&key.secret.sign(data, flags)?)].concat())
            }
            _ => None,
        }
    }
}

impl Secret {
    /// Signs as ssh has it; `None`: not in the way that is asked for.
    fn sign(&self, data: &[u8], flags: u32) -> Option<Vec<u8>> {
        let (kind, signature) = match self {
            Self::Ed25519(key) => ("ssh-ed25519", key.sign(data).as_ref().to_vec()),
            Self::Rsa(key) => {
                // Signatures by SHA-1, which no flag asks for, are refused by servers since 2021.
                let (kind, padding) = match flags {
                    flags if flags & SHA_512 != 0 => ("rsa-sha2-512", &RSA_PKCS1_SHA512),
                    flags if flags & SHA_256 != 0 => ("rsa-sha2-256", &RSA_PKCS1_SHA256),
                    _ => return None,
                };
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(padding, &SystemRandom::new(), data, &mut signature).ok()?;
                (kind, signature)
            }
            Self::Ecdsa(kind, key) => {
                let both = key.sign(&SystemRandom::new(), data).ok()?;
                let (r, s) = both.as_ref().split_at(both.as_ref().len() / 2);
                (*kind, [number(r), number(s)].concat())
            }
        };
        Some([string(kind.as_bytes()), string(&signature)].concat())
    }
}

fn read(path: &Path) -> Result<Key, KeyError> {
    let text = std::fs::read_to_string(path).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => no_key(path, "it is not text"),
        _ => KeyError::Read { path: path.into(), source },
    })?;
    let begin = text.find("-----BEGIN ").ok_or_else(|| no_key(path, "it has no line `-----BEGIN`"))?;
    let (label, rest) = text[begin + 11..].split_once("-----").ok_or_else(|| no_key(path, "it is cut off"))?;
    let body = rest.split("-----END").next().unwrap_or_default();
    if body.contains("ENCRYPTED") || label.contains("ENCRYPTED") {
        return Err(KeyError::Locked { path: path.into() });
    }
    let body = from_base64(body).ok_or_else(|| no_key(path, "it is damaged"))?;
    let comment = path.as_os_str().as_encoded_bytes().to_vec();
    match label {
        "OPENSSH PRIVATE KEY" => openssh(path, &body),
        "RSA PRIVATE KEY" => rsa::KeyPair::from_der(&body)
            .map(|key| of_rsa(key, comment))
            .map_err(|_| no_key(path, "it is damaged, or shorter than 2048 bits")),
        "PRIVATE KEY" => match (rsa::KeyPair::from_pkcs8(&body), Ed25519KeyPair::from_pkcs8_maybe_unchecked(&body)) {
            (Ok(key), _) => Ok(of_rsa(key, comment)),
            (Err(_), Ok(key)) => {
                let public = [string(b"ssh-ed25519"), string(key.public_key().as_ref())].concat();
                Ok(Key { public, comment, secret: Secret::Ed25519(key) })
            }
            (Err(_), Err(_)) => Err(KeyError::Kind { path: path.into(), kind: label.to_owned() }),
        },
        other if other.contains("PRIVATE") => Err(KeyError::Kind { path: path.into(), kind: other.to_owned() }),
        _ => Err(no_key(path, "it holds something else")),
    }
}

fn no_key(path: &Path, why: &'static str) -> KeyError {
    KeyError::NoKey { path: path.into(), why }
}

fn of_rsa(key: rsa::KeyPair, comment: Vec<u8>) -> Key {
    let parts = rsa::PublicKeyComponents::<Vec<u8>>::from(key.public());
    let public = [string(b"ssh-rsa"), number(&parts.e), number(&parts.n)].concat();
    Key { public, comment, secret: Secret::Rsa(Box::new(key)) }
}

/// `openssh-key-v1`: cipher, its derivation, number of keys, public keys, then the private part.
fn openssh(path: &Path, body: &[u8]) -> Result<Key, KeyError> {
    let damaged = || no_key(path, "it is damaged");
    let mut rest = body.strip_prefix(b"openssh-key-v1\0").ok_or_else(damaged)?;
    let cipher = take(&mut rest).ok_or_else(damaged)?;
    if cipher != b"none" {
        return Err(KeyError::Locked { path: path.into() });
    }
    let (_, _) = (take(&mut rest), take(&mut rest));
    let count = rest.split_off(..4).ok_or_else(damaged)?;
    if count != 1_u32.to_be_bytes() {
        return Err(no_key(path, "it holds several keys"));
    }
    let public = take(&mut rest).ok_or_else(damaged)?.to_vec();
    let mut private = take(&mut rest).ok_or_else(damaged)?;
    // Two equal numbers tell that the passphrase was right.
    private = private.get(8..).ok_or_else(damaged)?;
    let kind = take(&mut private).ok_or_else(damaged)?;
    let secret = match kind {
        b"ssh-ed25519" => ed25519(&mut private),
        b"ssh-rsa" => openssh_rsa(&mut private),
        b"ecdsa-sha2-nistp256" | b"ecdsa-sha2-nistp384" => ecdsa(kind == b"ecdsa-sha2-nistp256", &mut private),
        other => {
            let kind = String::from_utf8_lossy(other).into_owned();
            return Err(KeyError::Kind { path: path.into(), kind });
        }
    };
    let secret = secret.ok_or_else(|| no_key(path, "it is damaged, or shorter than 2048 bits"))?;
    let comment = take(&mut private).unwrap_or_default().to_vec();
    Ok(Key { public, comment, secret })
}

fn ed25519(private: &mut &[u8]) -> Option<Secret> {
    let (public, both) = (take(private)?, take(private)?);
    Ed25519KeyPair::from_seed_and_public_key(both.get(..32)?, public).ok().map(Secret::Ed25519)
}

fn openssh_rsa(private: &mut &[u8]) -> Option<Secret> {
    let mut next = || take(private).map(unpadded);
    let (n, e, d, q_inverse, p, q) = (next()?, next()?, next()?, next()?, next()?, next()?);
    let rest_of = |prime: &[u8]| remainder(d, &minus_one(prime));
    let components = rsa::KeyPairComponents {
        public_key: rsa::PublicKeyComponents { n, e },
        d,
        p,
        q,
        dP: &rest_of(p),
        dQ: &rest_of(q),
        qInv: q_inverse,
    };
    rsa::KeyPair::from_components(&components).ok().map(|key| Secret::Rsa(Box::new(key)))
}

fn ecdsa(short: bool, private: &mut &[u8]) -> Option<Secret> {
    let (_, point, scalar) = (take(private)?, take(private)?, unpadded(take(private)?));
    let (kind, length, algorithm) = match short {
        true => ("ecdsa-sha2-nistp256", 32, &ECDSA_P256_SHA256_FIXED_SIGNING),
        false => ("ecdsa-sha2-nistp384", 48, &ECDSA_P384_SHA384_FIXED_SIGNING),
    };
    let mut whole = vec![0; usize::checked_sub(length, scalar.len())?];
    whole.extend_from_slice(scalar);
    let key = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &whole, point, &SystemRandom::new()).ok()?;
    Some(Secret::Ecdsa(kind, key))
}

/// Takes bytes that their length precedes.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = rest.split_off(..4)?;
    let length = usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()?;
    rest.split_off(..length)
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), bytes].concat()
}

/// A positive number: without leading zeros, but one where its first bit would be the sign.
fn number(bytes: &[u8]) -> Vec<u8> {
    let bytes = unpadded(bytes);
    match bytes.first() {
        Some(first) if first & 0x80 != 0 => string(&[&[0], bytes].concat()),
        Some(_) | None => string(bytes),
    }
}

fn unpadded(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..]
}

/// Returns an odd number less one.
fn minus_one(odd: &[u8]) -> Vec<u8> {
    let mut number = odd.to_vec();
    if let Some(last) = number.last_mut() {
        *last &= 0xfe;
    }
    number
}

/// Divides bit by bit, and returns what is left.
fn remainder(number: &[u8], divisor: &[u8]) -> Vec<u8> {
    // One byte more than the divisor, for the bit that is shifted out.
    let mut left = vec![0_u8; divisor.len() + 1];
    let divisor = [&[0], divisor].concat();
    for bit in (0..number.len() * 8).map(|at| number[at / 8] >> (7 - at % 8) & 1) {
        let mut carry = bit;
        for byte in left.iter_mut().rev() {
            (*byte, carry) = (*byte << 1 | carry, *byte >> 7);
        }
        if left >= divisor {
            let mut borrow = false;
            for (byte, minus) in left.iter_mut().zip(&divisor).rev() {
                let (difference, first) = byte.overflowing_sub(*minus);
                let (difference, second) = difference.overflowing_sub(u8::from(borrow));
                (*byte, borrow) = (difference, first || second);
            }
        }
    }
    unpadded(&left).to_vec()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_remainder_is_what_division_leaves() {
        assert_eq!(remainder(&[1, 0, 0], &[7]), [2]);
        assert_eq!(remainder(&[0xff; 9], &[1, 0]), [0xff]);
        assert_eq!(remainder(&[6], &[3]), [0_u8; 0]);
        assert_eq!(number(&[0, 0x80]), [0, 0, 0, 2, 0, 0x80]);
    }

    /// Has `ssh-keygen` sign through the agent, and check the signature with the public key.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the peer under test is a program")]
    fn ssh_keygen_takes_the_signatures_of_every_kind_of_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let run = |command: &mut Command| {
            let output = command.output().unwrap();
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        if Command::new("ssh-keygen").arg("-?").output().is_err() {
            println!("skipped: `ssh-keygen` is not installed");
            return;
        }
        let kinds: [(&str, &[&str]); 6] = [
            ("ed25519", &["-t", "ed25519"]),
            ("rsa", &["-t", "rsa", "-b", "2048"]),
            ("pem", &["-t", "rsa", "-b", "3072", "-m", "PEM"]),
            ("pkcs8", &["-t", "rsa", "-b", "2048", "-m", "PKCS8"]),
            ("p256", &["-t", "ecdsa", "-b", "256"]),
            ("p384", &["-t", "ecdsa", "-b", "384"]),
        ];
        for (name, options) in kinds {
            run(Command::new("ssh-keygen").args(options).args(["-q", "-N", "", "-C", "me", "-f"]).arg(path(name)));
        }
        let paths: Vec<PathBuf> = kinds.iter().map(|(name, _)| path(name)).collect();
        let ring = Keyring::read(&paths).unwrap();
        let listener = UnixListener::bind(path("agent")).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = ring.serve(&stream);
            }
        });
        std::fs::write(path("data"), "signed text").unwrap();
        for (name, _) in kinds {
            let public = path(&format!("{name}.pub"));
            // Without the private file, only the agent can sign.
            std::fs::rename(path(name), path("away")).unwrap();
            let _ = std::fs::remove_file(path("data.sig"));
            run(Command::new("ssh-keygen")
                .env("SSH_AUTH_SOCK", path("agent"))
                .args(["-Y", "sign", "-n", "file", "-f"])
                .arg(&public)
                .arg(path("data")));
            std::fs::write(path("allowed"), format!("me {}", std::fs::read_to_string(&public).unwrap())).unwrap();
            let verify = Command::new("ssh-keygen")
                .args(["-Y", "verify", "-n", "file", "-I", "me", "-f"])
                .arg(path("allowed"))
                .arg("-s")
                .arg(path("data.sig"))
                .stdin(std::fs::File::open(path("data")).unwrap())
                .output()
                .unwrap();
            assert!(verify.status.success(), "{name}: {}", String::from_utf8_lossy(&verify.stderr));
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the peer under test is a program")]
    fn a_locked_key_and_what_is_no_key_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "text").unwrap();
        let told = || Keyring::read(std::slice::from_ref(&path)).unwrap_err().to_string();
        assert!(told().contains("is no private ssh key"), "{}", told());
        std::fs::remove_file(&path).unwrap();
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "secret", "-f"]).arg(&path).output();
        if made.is_ok() {
            assert!(told().contains("locked by a passphrase"), "{}", told());
        }
    }
}
