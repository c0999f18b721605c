//! What SIGHUP reads again: the compilers that are there, the file of allowed networks, and the keys.
//!
//! What cannot be read stays as it was: a mistake in a file must not stop a daemon that serves.

use std::path::PathBuf;

use keys::DaemonKeys;

use crate::access::{self, AccessList, FileError, Rule};
use crate::compilers::{Compilers, Search};
use crate::log::{self, Chain};
use crate::options::Options;
use crate::server::Server;

/// Where things are read from.
#[derive(Debug)]
pub(crate) struct Reload {
    search: Search,
    allow: Vec<Rule>,
    allow_private: bool,
    allow_file: Option<PathBuf>,
    /// May networks that are not private be allowed?
    may_be_open: bool,
    keys: Option<PathBuf>,
}

impl Reload {
    /// `options` say whom to serve, `search` where compilers are.
    pub(crate) fn new(options: &Options, search: Search) -> std::io::Result<Self> {
        // The daemon leaves the directory that it was started in.
        let allow_file = options.allow_file.as_ref().map(std::path::absolute);
        Ok(Self {
            search,
            allow: options.allow.clone(),
            allow_private: options.allow_private,
            allow_file: allow_file.transpose()?,
            may_be_open: options.may_be_open(),
            keys: options.keys.as_ref().map(std::path::absolute).transpose()?,
        })
    }

    /// Who may connect, by the command line and the file.
    ///
    /// # Errors
    /// The file cannot be read or understood, or somebody beyond private networks is allowed who may not be.
    pub(crate) fn access(&self) -> Result<AccessList, FileError> {
        let mut rules = self.allow.clone();
        if let Some(file) = &self.allow_file {
            rules.extend(access::read_file(file)?);
        }
        if !self.may_be_open {
            access::stay_private(&rules)?;
        }
        if self.allow_file.is_none() {
            return Ok(AccessList::new(&rules, self.allow_private));
        }
        Ok(AccessList::listed(&rules, self.allow_private))
    }

    /// Reads everything again.
    pub(crate) fn again(&self, server: &Server) {
        match Compilers::find(&self.search) {
            Ok(compilers) => {
                log::notice!("compilers: {}", compilers.names().join(" "));
                server.compilers.set(compilers);
            }
            Err(error) => log::error!("compilers stay as they were: {}", Chain(&error)),
        }
        match self.access() {
            Ok(access) => server.access.set(access),
            Err(error) => log::error!("the access list stays as it was: {}", Chain(&error)),
        }
        if let (Some(gate), Some(file)) = (&server.gate, &self.keys) {
            match DaemonKeys::read(file) {
                Ok(keys) => gate.exchange(keys),
                Err(error) => log::error!("the keys stay as they were: {}", Chain(&error)),
            }
        }
    }
}
