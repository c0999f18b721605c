//! `distcc-launch`: put before a compiler, it runs compile commands on other machines.
//!
//! How it was called decides what it is: by its own name a prefix (`distcc-launch gcc -c a.c`) or one of its sub-commands; by
//! a name with `distcc` in it a drop-in for the stock client; by any other name the compiler of that name (masquerade).
#![cfg_attr(not(test), no_main)]

mod about;
mod accept;
mod check;
mod commands;
mod detached;
mod dispatch;
mod driver;
mod fallback;
mod find;
mod here;
mod idle;
mod journal;
mod keyed;
mod memory;
mod native;
mod os;
mod peer;
mod place;
mod pump;
mod remember;
mod resolve;
mod say;
mod settings;
mod source;
mod stock;
mod tokens;
mod trip;
mod verify;
mod wire;
mod work;
mod zeroconf;

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::panic::AssertUnwindSafe;

use compiler::names;

use crate::find::Inode;
use crate::here::Here;
use crate::say::Say;
use crate::settings::Settings;

/// More launchers inside one another than this are one that calls itself.
const MOST_LEVELS: u32 = 5;
/// Stock's exit code.
const EXIT_RECURSION: i32 = 111;

/// Where `os::main` goes on; gives the exit code.
fn enter() -> i32 {
    start(env::args_os().collect())
}

/// The test harness brings its own way in.
#[cfg(test)]
fn main() {
    std::process::exit(enter());
}

/// What the name that we were called by makes of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Own,
    Stock,
    /// A link named like a compiler.
    Masquerade,
}

impl Role {
    fn of(name: &OsStr) -> Role {
        let base = names::base(name.as_bytes());
        if base.starts_with(b"distcc-launch") {
            Role::Own
        } else if base.windows(6).any(|part| part == b"distcc") {
            Role::Stock
        } else {
            Role::Masquerade
        }
    }
}

fn start(mut words: Vec<OsString>) -> i32 {
    let name = if words.is_empty() {
        OsString::from("distcc-launch")
    } else {
        words.remove(0)
    };
    let role = Role::of(&name);
    let mut settings = Settings::read();
    settings.ssh_speaks |= role == Role::Stock;
    let say = Say::new(&settings, role == Role::Stock);
    match (role, words.first()) {
        (Role::Masquerade, _) => launch(&settings, &say, &name, words),
        (Role::Own, None) => commands::usage(),
        (Role::Stock, None) => stock::usage(&say),
        (Role::Own, Some(word)) if commands::is_ours(word, words.len()) => {
            commands::run(&settings, words)
        }
        (Role::Stock, Some(word)) if stock::is_option(word) => stock::run(&settings, &say, words),
        (_, Some(word)) if names::is_implicit(word.as_bytes()) => {
            // A default compiler of several words brings arguments of its own.
            let mut default = settings
                .cc
                .as_bytes()
                .split(u8::is_ascii_whitespace)
                .filter(|word| !word.is_empty());
            let compiler = default
                .next()
                .map_or(OsStr::new("cc"), OsStr::from_bytes)
                .to_owned();
            let args = default
                .map(|word| OsStr::from_bytes(word).to_owned())
                .chain(words)
                .collect();
            launch(&settings, &say, &compiler, args)
        }
        (_, Some(_)) => {
            let compiler = words.remove(0);
            launch(&settings, &say, &compiler, words)
        }
    }
}

/// Runs `word args`, somewhere.
fn launch(settings: &Settings, say: &Say, word: &OsStr, args: Vec<OsString>) -> i32 {
    say.open();
    if settings.level >= MOST_LEVELS {
        eprintln!(
            "{}: {} leads back to the launcher again and again; is it a script that calls us?",
            say.program(),
            word.display()
        );
        return EXIT_RECURSION;
    }
    let Some(program) = find::compiler(word, &settings.path, Inode::ours()) else {
        return here::cannot_run(say, word, &io::Error::from_raw_os_error(libc::ENOENT));
    };
    os::set_variable(settings::LEVEL, &(settings.level + 1).to_string());
    if settings.level > 0 {
        // The launcher above holds the slot and writes the journal.
        let here = Here {
            settings,
            say,
            program: &program,
            args: &args,
        };
        return here.become_compiler(None);
    }
    // Called as a compiler's link, that compiler's name is the word, without the link's folder.
    let word = if program.argv0 == word {
        word
    } else {
        OsStr::from_bytes(names::base(word.as_bytes()))
    };
    let command = driver::Command {
        settings,
        say,
        word,
        program: &program,
        args: &args,
    };
    // A mistake of ours must not fail a build: what panics is compiled here.
    std::panic::set_hook(Box::new(|_| ()));
    std::panic::catch_unwind(AssertUnwindSafe(|| driver::run(&command))).unwrap_or_else(|_| {
        say.error(format_args!("the launcher stumbled; compiling here"));
        command.here().become_compiler(None)
    })
}
