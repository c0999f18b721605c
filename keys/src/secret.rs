//! What clients and daemons hold: 32 bytes each, wiped when dropped, never printed.

use std::fmt;

use blake2::{Blake2s256, Digest};
use snow::params::DHChoice;
use snow::resolvers::{CryptoResolver, DefaultResolver};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::handshake::Refused;

/// Bytes of every key: Curve25519's and the shared secret's.
pub(crate) const KEY_LEN: usize = 32;
/// Bytes by which a client says which key is its own.
pub(crate) const ID_LEN: usize = 16;
/// The longest label.
pub(crate) const MAX_LABEL: usize = 64;

/// 32 bytes that nobody else may know.  They stay at one place, since what moves leaves copies.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) Box<Zeroizing<[u8; KEY_LEN]>>);

impl Secret {
    #[cfg(test)]
    pub(crate) fn new(bytes: [u8; KEY_LEN]) -> Secret {
        Secret(Box::new(Zeroizing::new(bytes)))
    }

    /// From the system's source of chance.
    pub(crate) fn generate() -> Result<Secret, Refused> {
        let mut bytes = Box::new(Zeroizing::new([0; KEY_LEN]));
        getrandom::fill(&mut bytes[..]).map_err(|_| Refused::NoChance)?;
        Ok(Secret(bytes))
    }

    /// What names this secret to a daemon that has it.  Tells nothing of it to one that has not.
    pub(crate) fn id(&self) -> [u8; ID_LEN] {
        let mut hash = Blake2s256::new();
        hash.update(b"distcc-launch key id 1");
        hash.update(&self.0[..]);
        let mut id = [0; ID_LEN];
        id.copy_from_slice(&hash.finalize()[..ID_LEN]);
        id
    }

    fn same(&self, other: &Secret) -> bool {
        self.0[..].ct_eq(&other.0[..]).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("(secret)")
    }
}

/// The daemon's key as its clients know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub(crate) [u8; KEY_LEN]);

/// What a client's key is called, in the daemon's log: 1 to 64 letters, digits and `._@-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label(String);

impl Label {
    /// `None` for what is no label.
    pub fn new(text: &str) -> Option<Label> {
        let fits = (1..=MAX_LABEL).contains(&text.len());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
        (fits && !text.starts_with('-') && text.bytes().all(plain)).then(|| Label(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// All that a client needs: the daemon's public key, and the secret that it shares with that daemon.
#[derive(Debug, Clone)]
pub struct ClientKey {
    pub label: Label,
    pub daemon: PublicKey,
    pub(crate) secret: Secret,
}

/// All that a daemon needs: its own private key, and what it shares with each client.
#[derive(Debug, Clone)]
pub struct DaemonKeys {
    pub(crate) private: Secret,
    pub(crate) clients: Vec<Client>,
}

/// One client, as the daemon knows it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) label: Label,
    pub(crate) secret: Secret,
    pub(crate) id: [u8; ID_LEN],
}

impl Client {
    pub(crate) fn new(label: Label, secret: Secret) -> Client {
        let id = secret.id();
        Client { label, secret, id }
    }
}

impl DaemonKeys {
    /// A new daemon, without clients.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn generate() -> Result<DaemonKeys, Refused> {
        Ok(DaemonKeys {
            private: Secret::generate()?,
            clients: Vec::new(),
        })
    }

    /// What clients pin.
    pub fn public(&self) -> PublicKey {
        let mut curve = DefaultResolver
            .resolve_dh(&DHChoice::Curve25519)
            .expect("snow is built with Curve25519");
        curve.set(&self.private.0[..]);
        let mut public = [0; KEY_LEN];
        public.copy_from_slice(curve.pubkey());
        PublicKey(public)
    }

    /// How many clients may come.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    pub fn has(&self, label: &Label) -> bool {
        self.clients.iter().any(|client| client.label == *label)
    }

    /// Adds `client` unless its label or its secret is there already; says whether it was added.
    pub(crate) fn add(&mut self, label: Label, secret: Secret) -> bool {
        let there = |client: &Client| client.label == label || client.secret.same(&secret);
        let new = !self.clients.iter().any(there);
        if new {
            self.clients.push(Client::new(label, secret));
        }
        new
    }

    /// The client that `id` names.  Looks at every client, so that the time says nothing of which it was.
    pub(crate) fn client(&self, id: &[u8]) -> Option<&Client> {
        let mut found = None;
        for client in &self.clients {
            if client.id.ct_eq(id).into() {
                found = Some(client);
            }
        }
        found
    }
}

impl ClientKey {
    /// A new key for a client of the daemon that has `keys`.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn generate(label: Label, keys: &DaemonKeys) -> Result<ClientKey, Refused> {
        Ok(ClientKey {
            label,
            daemon: keys.public(),
            secret: Secret::generate()?,
        })
    }
}
