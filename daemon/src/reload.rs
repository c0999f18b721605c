//! What SIGHUP reads again: the compilers that are there, and the file of allowed networks.
//!
//! What cannot be read stays as it was: a mistake in a file must not stop a daemon that serves.

use std::path::PathBuf;

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
        })
    }

    /// Who may connect, by the command line and the file.
    ///
    /// # Errors
    /// The file cannot be read or understood.
    pub(crate) fn access(&self) -> Result<AccessList, FileError> {
        let Some(file) = &self.allow_file else {
            return Ok(AccessList::new(&self.allow, self.allow_private));
        };
        let mut rules = self.allow.clone();
        rules.extend(access::read_file(file)?);
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
    }
}
