//! The grammar of host lists (facts 2.2). Total: any bytes give a list or an error that names the token.

use std::net::Ipv6Addr;

use super::{DEFAULT_PORT, Host, HostList, KeyFile, Transport, Zeroconf};

/// The most slots a host may have.
pub const MAX_SLOTS: u32 = 9999;
/// The most hosts a list may have.
const MAX_HOSTS: usize = 100_000;
/// The longest host name: it becomes part of a file name.
const MAX_NAME: usize = 200;
const SLOTS: u32 = 4;
const LOCALHOST_SLOTS: u32 = 2;

/// What is wrong with a list. The whole list is then refused, as by stock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostListError {
    #[error("the list names no host")]
    Empty,
    #[error("the list names more than {MAX_HOSTS} hosts")]
    TooMany,
    #[error("host \"{token}\": {problem}")]
    Token { token: String, problem: Problem },
}

/// What is wrong with one token, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("\"{0}\" is no number of slots; write 1 to {MAX_SLOTS}, as in \"farm1/8\"")]
    Slots(String),
    #[error("\"{0}\" is no TCP port; write 1 to 65535, as in \"farm1:3632\"")]
    Port(String),
    #[error("the host has no name; write one, as in \"farm1\", \"farm1:3632\" or \"user@farm1\"")]
    NoName,
    #[error("a host name has at most {MAX_NAME} bytes")]
    LongName,
    #[error("a host name cannot contain \"{0}\"")]
    NameChar(char),
    #[error("the \"[\" has no \"]\"; write an IPv6 address as in \"[::1]\" or \"[::1]:3632\"")]
    OpenBracket,
    #[error("\"{0}\" is no IPv6 address; write one as in \"[::1]\" or \"[::1]:3632\"")]
    Address(String),
    #[error(
        "\"{0}\" after the host name; only slots (\"/8\"), a port (\":3632\") and options (\",lzo\") may follow"
    )]
    AfterName(String),
    #[error(
        "\"{0}\" is no option of a host; there are lzo, cpp, key and down, as in \"farm1,lzo\""
    )]
    Option(String),
    #[error("cpp needs lzo; write \",lzo,cpp\"")]
    CppWithoutLzo,
    #[error(
        "authentication with GSSAPI (\",auth\") is not supported and will not be; use ssh, as in \"user@farm1\""
    )]
    Auth,
    #[error("\",key=\" has no file; write \",key\" for DISTCC_DIR/key, or \",key=FILE\"")]
    KeyFile,
    #[error("\",key\" is for TCP hosts; ssh has keys of its own, and this machine needs none")]
    KeyElsewhere,
    #[error("only options may follow, as in \"+zeroconf,lzo\"")]
    Zeroconf,
    #[error("the list has \"+zeroconf\" already; write it once")]
    ZeroconfTwice,
    #[error(
        "this is no setting of a list; there are --randomize, --localslots=N and --localslots_cpp=N"
    )]
    Setting,
    #[error("this is not UTF-8 text")]
    NotText,
}

/// The hosts and settings of a list, or what is wrong with its first wrong token.
pub fn parse(text: impl AsRef<[u8]>) -> Result<HostList, HostListError> {
    let mut list = HostList::default();
    for token in tokens(text.as_ref()) {
        let text = str::from_utf8(token).map_err(|_| Problem::NotText);
        text.and_then(|text| add(&mut list, text))
            .map_err(|problem| HostListError::Token {
                token: String::from_utf8_lossy(token).into_owned(),
                problem,
            })?;
        if list.hosts.len() > MAX_HOSTS {
            return Err(HostListError::TooMany);
        }
    }
    if list.hosts.is_empty() && list.zeroconf.is_none() {
        Err(HostListError::Empty)
    } else {
        Ok(list)
    }
}

/// Words between white space; `#` ends a word and the rest of its line is a comment.
fn tokens(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
        .map(|line| line.split(|byte| *byte == b'#').next().unwrap_or_default())
        .flat_map(|line| line.split(|byte| byte.is_ascii_whitespace() || *byte == b'\x0b'))
        .filter(|word| !word.is_empty())
}

fn add(list: &mut HostList, token: &str) -> Result<(), Problem> {
    if token.starts_with("--") {
        return set(list, token);
    }
    let (place, options) = match token.split_once(',') {
        Some((place, options)) => (place, Some(options)),
        None => (token, None),
    };
    if place.starts_with("+zeroconf") {
        return look(list, token, place, options);
    }
    let mut host = Host {
        token: token.to_owned(),
        transport: Transport::Local,
        slots: SLOTS,
        lzo: false,
        cpp: false,
        down: false,
        key: None,
    };
    if let Some(slots) = local(token, place) {
        host.slots = slots?;
    } else if let Some((user, rest)) = place.split_once('@') {
        ssh(&mut host, user, rest)?;
    } else {
        tcp(&mut host, place)?;
    }
    let options = Options::read(options)?;
    if options.key.is_some() && !matches!(host.transport, Transport::Tcp { .. }) {
        return Err(Problem::KeyElsewhere);
    }
    (host.lzo, host.cpp, host.down) = (options.lzo, options.cpp, options.down);
    host.key = options.key;
    list.hosts.push(host);
    Ok(())
}

/// `+zeroconf[,OPTION]…`
fn look(
    list: &mut HostList,
    token: &str,
    place: &str,
    options: Option<&str>,
) -> Result<(), Problem> {
    if place != "+zeroconf" {
        return Err(Problem::Zeroconf);
    }
    if list.zeroconf.is_some() {
        return Err(Problem::ZeroconfTwice);
    }
    let options = Options::read(options)?;
    list.zeroconf = Some(Zeroconf {
        token: token.to_owned(),
        at: list.hosts.len(),
        lzo: options.lzo,
        cpp: options.cpp,
        down: options.down,
        key: options.key,
    });
    Ok(())
}

/// What follows a host, each with a comma.
#[derive(Default)]
struct Options {
    lzo: bool,
    cpp: bool,
    down: bool,
    key: Option<KeyFile>,
}

impl Options {
    fn read(words: Option<&str>) -> Result<Options, Problem> {
        let mut options = Options::default();
        for option in words.into_iter().flat_map(|words| words.split(',')) {
            match option {
                "lzo" => options.lzo = true,
                "cpp" => options.cpp = true,
                "down" => options.down = true,
                "auth" => return Err(Problem::Auth),
                "key" => options.key = Some(KeyFile::Default),
                _ if option.starts_with("auth=") => return Err(Problem::Auth),
                _ => match option.strip_prefix("key=") {
                    Some("") => return Err(Problem::KeyFile),
                    Some(file) => options.key = Some(KeyFile::Named(file.into())),
                    None => return Err(Problem::Option(option.to_owned())),
                },
            }
        }
        if options.cpp && !options.lzo {
            return Err(Problem::CppWithoutLzo);
        }
        Ok(options)
    }
}

fn set(list: &mut HostList, token: &str) -> Result<(), Problem> {
    match token.split_once('=') {
        None => match token {
            "--randomize" => list.randomize = true,
            // Without a number they change nothing, as in stock.
            "--localslots" | "--localslots_cpp" => {}
            _ => return Err(Problem::Setting),
        },
        Some(("--localslots", number)) => list.local_slots = Some(slots(number)?),
        Some(("--localslots_cpp", number)) => list.local_slots_cpp = Some(slots(number)?),
        Some(_) => return Err(Problem::Setting),
    }
    Ok(())
}

/// The slots of this machine, if the token means it: `localhost`, `localhost/N`, `localhost=N`.  `localhost,lzo` and
/// `localhost:3632` are TCP hosts; whatever follows the slots changes nothing (both as in stock).
fn local(token: &str, place: &str) -> Option<Result<u32, Problem>> {
    if token == "localhost" {
        return Some(Ok(LOCALHOST_SLOTS));
    }
    let number = place.strip_prefix("localhost")?.strip_prefix(['/', '='])?;
    let number = number.split(':').next().unwrap_or_default();
    Some(slots(number))
}

/// `HOST[/N][:PORT][/N]`
fn tcp(host: &mut Host, place: &str) -> Result<(), Problem> {
    let (name, mut rest) = host_name(place)?;
    let mut port = DEFAULT_PORT;
    let mut port_seen = false;
    while let Some(separator) = rest.chars().next() {
        let word;
        (word, rest) = until(&rest[1..], &['/', '=', ':']);
        match separator {
            ':' if !port_seen => {
                port_seen = true;
                port = number(word)
                    .filter(|port| *port > 0)
                    .ok_or_else(|| Problem::Port(word.to_owned()))?;
            }
            '/' | '=' => host.slots = slots(word)?,
            _ => return Err(Problem::AfterName(format!(":{word}"))),
        }
    }
    host.transport = Transport::Tcp { host: name, port };
    Ok(())
}

/// `[USER]@HOST[/N][:COMMAND]`, after the `@`.
fn ssh(host: &mut Host, user: &str, place: &str) -> Result<(), Problem> {
    let (name, mut rest) = host_name(place)?;
    if let Some(after) = rest.strip_prefix(['/', '=']) {
        let word;
        (word, rest) = until(after, &[':']);
        host.slots = slots(word)?;
    }
    let command = rest
        .strip_prefix(':')
        .filter(|command| !command.is_empty())
        .map(str::to_owned);
    let user = Some(user.to_owned()).filter(|user| !user.is_empty());
    host.transport = Transport::Ssh {
        user,
        host: name,
        command,
    };
    Ok(())
}

/// The host's name, out of its brackets, and what follows: nothing, or a text that begins with one of `/ = :`.
fn host_name(place: &str) -> Result<(String, &str), Problem> {
    let (name, rest) = match place.strip_prefix('[') {
        Some(inside) => {
            let (address, rest) = inside.split_once(']').ok_or(Problem::OpenBracket)?;
            let number = address
                .split_once('%')
                .map_or(address, |(number, _zone)| number);
            if number.parse::<Ipv6Addr>().is_err() {
                return Err(Problem::Address(address.to_owned()));
            }
            if !rest.is_empty() && !rest.starts_with(['/', '=', ':']) {
                return Err(Problem::AfterName(rest.to_owned()));
            }
            (address, rest)
        }
        None => until(place, &['/', '=', ':']),
    };
    if name.is_empty() {
        return Err(Problem::NoName);
    }
    if name.len() > MAX_NAME {
        return Err(Problem::LongName);
    }
    if let Some(wrong) = name
        .chars()
        .find(|char| matches!(char, '/' | '[' | ']' | '@' | '+') || char.is_control())
    {
        return Err(Problem::NameChar(wrong));
    }
    // A name that begins with a dash would be an option of ssh.
    if name.starts_with('-') {
        return Err(Problem::NameChar('-'));
    }
    Ok((name.to_owned(), rest))
}

/// Splits before the first of `ends`.
fn until<'t>(text: &'t str, ends: &[char]) -> (&'t str, &'t str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

fn slots(word: &str) -> Result<u32, Problem> {
    number(word)
        .filter(|number| (1..=MAX_SLOTS).contains(number))
        .ok_or_else(|| Problem::Slots(word.to_owned()))
}

/// A number of digits alone: no sign, no blanks.
fn number<N: std::str::FromStr>(word: &str) -> Option<N> {
    word.parse()
        .ok()
        .filter(|_| word.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
