//! Requests out of bytes.

use super::{Content, Entry, Request, RequestHead, Source};
use crate::{
    Body, Limits, Progress, ProtocolError, Token, Version,
    intake::{Expected, Intake, Next, Script, check, check_no_nul, decoder_methods},
    limits::Limit,
    token::tag,
    words::Words,
};

/// Reads one request, in reads of any size.
pub struct RequestDecoder {
    intake: Intake<Order>,
}

impl RequestDecoder {
    pub fn new(limits: Limits) -> RequestDecoder {
        RequestDecoder {
            intake: Intake::new(Order::new(limits)),
        }
    }

    decoder_methods!(Request);

    /// Version, directory and words, as soon as the last word is there and while the source still comes.
    pub fn head(&self) -> Option<&RequestHead> {
        self.intake.script.seen_head()
    }
}

enum Place {
    Dist,
    Cdir,
    Argc,
    Argv,
    Doti,
    Envi,
    Sysd,
    Nfil,
    Name,
    /// What the file of this name is.
    Content(Vec<u8>),
    End,
}

/// Where in a request we are, and what has come of it.
pub(crate) struct Order {
    limits: Limits,
    place: Place,
    version: Version,
    cwd: Option<Vec<u8>>,
    words: Words,
    head: Option<RequestHead>,
    source: Option<Body>,
    environment: Vec<u8>,
    system: Option<Body>,
    entries: Vec<Entry>,
    entries_left: u32,
    closure_bytes: u64,
}

impl Script for Order {
    fn expected(&self) -> Option<Expected> {
        let (tags, name): (&'static [[u8; 4]], _) = match self.place {
            Place::Dist => (&[tag::DIST], "DIST"),
            Place::Cdir => (&[tag::CDIR], "CDIR"),
            Place::Argc => (&[tag::ARGC], "ARGC"),
            Place::Argv => (&[tag::ARGV], "ARGV"),
            Place::Doti => (&[tag::DOTI], "DOTI"),
            Place::Envi => (&[tag::ENVI], "ENVI"),
            Place::Sysd => (&[tag::SYSD], "SYSD"),
            Place::Nfil => (&[tag::NFIL], "NFIL"),
            Place::Name => (&[tag::NAME], "NAME"),
            Place::Content(_) if self.version == Version::Tree => {
                (&[tag::FILE, tag::LINK, tag::FOLD], "FILE, LINK or FOLD")
            }
            Place::Content(_) => (&[tag::FILE, tag::LINK], "FILE or LINK"),
            Place::End => return None,
        };
        Some(Expected { tags, name })
    }

    fn head(&mut self, Token { tag, value }: Token) -> Result<Next, ProtocolError> {
        match tag {
            tag::DIST => {
                self.version =
                    Version::from_number(value).ok_or(ProtocolError::UnknownVersion(value))?;
                self.place = if self.version.has_cwd() {
                    Place::Cdir
                } else {
                    Place::Argc
                };
                return Ok(Next::Head);
            }
            tag::ARGC => {
                self.words.count(value)?;
                if value == 0 {
                    return Err(ProtocolError::NoCommand);
                }
                self.place = Place::Argv;
                return Ok(Next::Head);
            }
            tag::NFIL => {
                check(Limit::Files, self.limits.max_files, value)?;
                self.entries_left = value;
                self.next_entry();
                return Ok(Next::Head);
            }
            tag::ARGV => self.words.announced(value)?,
            tag::CDIR => check(Limit::Name, self.limits.max_name, value)?,
            tag::NAME | tag::LINK => {
                check(Limit::Name, self.limits.max_name, value)?;
                self.add_to_closure(value)?;
            }
            // A directory has no content.
            tag::FOLD => check(Limit::Source, 0u32, value)?,
            tag::ENVI => check(Limit::ArgBytes, self.limits.max_arg_bytes, value)?,
            tag::SYSD => check(Limit::SystemFiles, self.limits.max_system_files, value)?,
            tag::FILE => {
                check(Limit::Source, self.limits.max_source, value)?;
                self.add_to_closure(value)?;
            }
            _ => check(Limit::Source, self.limits.max_source, value)?,
        }
        Ok(Next::Body(value))
    }

    fn body(&mut self, tag: [u8; 4], bytes: Vec<u8>) -> Result<(), ProtocolError> {
        match std::mem::replace(&mut self.place, Place::End) {
            Place::Cdir => {
                check_no_nul(tag, &bytes)?;
                self.cwd = Some(bytes);
                self.place = Place::Argc;
            }
            Place::Argv => {
                self.words.push(bytes)?;
                self.place = if self.words.complete() {
                    self.after_words()
                } else {
                    Place::Argv
                };
            }
            Place::Envi => {
                self.environment = bytes;
                self.place = Place::Sysd;
            }
            Place::Sysd => {
                self.system = Some(Body::received(self.version.coding(), bytes));
                self.place = Place::Nfil;
            }
            Place::Doti => self.source = Some(Body::received(self.version.coding(), bytes)),
            Place::Name => {
                check_no_nul(tag, &bytes)?;
                self.place = Place::Content(bytes);
            }
            Place::Content(name) => {
                let content = match tag {
                    tag::LINK => {
                        check_no_nul(tag, &bytes)?;
                        Content::Link(bytes)
                    }
                    tag::FOLD => Content::Folder,
                    _ => Content::File(Body::received(self.version.coding(), bytes)),
                };
                self.entries.push(Entry { name, content });
                self.next_entry();
            }
            Place::Dist | Place::Argc | Place::Nfil | Place::End => {}
        }
        Ok(())
    }
}

impl Order {
    pub(crate) fn new(limits: Limits) -> Order {
        Order {
            limits,
            place: Place::Dist,
            version: Version::Plain,
            cwd: None,
            words: Words::new(limits),
            head: None,
            source: None,
            environment: Vec::new(),
            system: None,
            entries: Vec::new(),
            entries_left: 0,
            closure_bytes: 0,
        }
    }

    pub(crate) fn seen_head(&self) -> Option<&RequestHead> {
        self.head.as_ref()
    }

    fn after_words(&mut self) -> Place {
        self.head = Some(RequestHead {
            version: self.version,
            cwd: self.cwd.take(),
            argv: self.words.take(),
        });
        match self.version {
            Version::Pump => Place::Nfil,
            Version::Tree => Place::Envi,
            Version::Plain | Version::Lzo | Version::Launch => Place::Doti,
        }
    }

    fn next_entry(&mut self) {
        self.place = match self.entries_left.checked_sub(1) {
            Some(left) => {
                self.entries_left = left;
                Place::Name
            }
            None => Place::End,
        };
    }

    fn add_to_closure(&mut self, len: u32) -> Result<(), ProtocolError> {
        self.closure_bytes += u64::from(len);
        check(Limit::Closure, self.limits.max_closure, self.closure_bytes)
    }

    pub(crate) fn into_value(self) -> Request {
        let RequestHead { version, cwd, argv } = self.head.expect("a request ends after its words");
        let source = match (self.source, self.system) {
            (Some(body), _) => Source::Preprocessed(body),
            (None, Some(system)) => Source::Tree {
                environment: self.environment,
                system,
                entries: self.entries,
            },
            (None, None) => Source::Closure(self.entries),
        };
        Request {
            version,
            cwd,
            argv,
            source,
        }
    }
}
