//! Commands put together by chance, plain and with their includes: whatever a command says, it does what it does here.
//!
//! `SEED=N` tries the commands of one seed; `LONG=1` tries a hundred seeds.

mod parts;

use parts::{ANY, DEPENDENCIES, FILES, OUTPUTS, VARIABLES};
use tests::{Farm, Space, long};

/// Commands of one seed.
const COMMANDS: usize = 12;

const STAGES: &str = "-c | -c | -c | -c | -c | -c | -c | -c | -S | -E | -fsyntax-only | -c -S";
const COMPILERS: &str = "gcc | gcc | g++ | clang | clang++ | cc | c++ | c99 | /usr/bin/gcc | x86_64-linux-gnu-gcc | clang-14";
/// What stands before a source's name.
const FORMS: [&str; 6] = ["", "", "./", "$PWD/", "sub/../", ".//"];

/// The same numbers for the same seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % most as u64) as usize
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// One of the words that stand between `|`.
    fn word(&mut self, all: &'static str) -> &'static str {
        let all: Vec<&str> = all.split('|').map(str::trim).collect();
        self.of(&all)
    }

    /// The same, in so many commands of a hundred.
    fn perhaps(&mut self, percent: usize, all: &'static str) -> &'static str {
        if self.below(100) < percent {
            self.word(all)
        } else {
            ""
        }
    }

    /// A line for the shell; `$L` stands where the launcher goes.
    fn command(&mut self) -> String {
        let sources = FILES.iter().map(|(name, _)| *name).filter(is_source);
        let source = self.of(&sources.collect::<Vec<_>>());
        let form = self.of(&FORMS);
        let mut parts = vec![
            self.word(STAGES).to_owned(),
            self.perhaps(75, DEPENDENCIES).to_owned(),
            self.perhaps(75, OUTPUTS).to_owned(),
            format!("\"{form}{source}\""),
        ];
        for _ in 0..self.below(5) {
            parts.push(self.word(ANY).to_owned());
        }
        for at in (1..parts.len()).rev() {
            parts.swap(at, self.below(at + 1));
        }
        let (variables, compiler) = (self.perhaps(60, VARIABLES), self.word(COMPILERS));
        format!("{variables} $L {compiler} {}", parts.join(" "))
    }
}

fn is_source(name: &&str) -> bool {
    let suffix = name.rsplit('.').next();
    suffix.is_some_and(|suffix| "c cc cpp C i s S".split(' ').any(|known| known == suffix))
}

/// The commands of each seed through the daemon, as far as they are `fit` for it; a tenth at least has to get there: what failed
/// there and then here did too.
fn through(farm: &Farm, suffix: &str, fit: fn(&str) -> bool) {
    let space = Space::new(FILES).hosts(&farm.hosts(suffix));
    let (mut tried, mut there) = (0, 0);
    for seed in seeds() {
        let mut chance = Chance(seed);
        let commands = (0..COMMANDS).map(|_| chance.command());
        for command in commands.filter(|command| fit(command)) {
            println!("seed {seed}: {command}");
            let compared = space.shell(&command);
            compared.assert_same_but_excerpts();
            tried += 1;
            there +=
                usize::from(compared.rows.iter().any(|row| {
                    row.place == "remote" || row.reason.as_deref() == Some("failed-there")
                }));
        }
    }
    assert!(there * 10 > tried, "{there} of {tried}");
}

fn seeds() -> Vec<u64> {
    match std::env::var("SEED").ok().map(|seed| seed.parse()) {
        Some(seed) => vec![seed.expect("a number")],
        None if long() => (1..=100).collect(),
        None => (1..=6).collect(),
    }
}

#[test]
fn in_plain_mode() {
    through(&Farm::ours(1), "/4", |_| true);
}

#[test]
fn in_pump_mode() {
    through(&Farm::ours(1), "/4,cpp,lzo", |_| true);
}

/// Debug information from stock's daemon has other columns, as `docs/results.md` says.
fn has_none_of_debug(command: &str) -> bool {
    !command.contains(" -g") && !command.contains("@b.rsp")
}

#[test]
fn in_plain_mode_to_stock() {
    through(&Farm::stock(1), "/4", has_none_of_debug);
}

#[test]
fn in_pump_mode_to_stock() {
    through(&Farm::stock(1), "/4,cpp,lzo", has_none_of_debug);
}
