use super::*;

#[derive(Default)]
struct Machine {
    make: Option<&'static str>,
    ninja: Option<&'static str>,
    variables: Vec<(&'static str, &'static str)>,
    cache: Option<&'static str>,
}

impl Surroundings for Machine {
    fn variable(&self, name: &str) -> Option<OsString> {
        let found = self.variables.iter().find(|(there, _)| *there == name);
        found.map(|(_, value)| value.into())
    }
    fn version(&self, program: &OsStr) -> Option<String> {
        let line = match Path::new(program).file_name()?.to_str()? {
            "make" => self.make,
            "ninja" => self.ninja,
            _ => None,
        };
        line.map(str::to_owned)
    }
    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let wanted = path == Path::new("b/CMakeCache.txt");
        self.cache.filter(|_| wanted).map(Into::into)
    }
}

const OLD: Machine = Machine {
    make: Some("GNU Make 4.3"),
    ninja: Some("1.11.1"),
    variables: Vec::new(),
    cache: None,
};

fn new() -> Machine {
    Machine {
        make: Some("GNU Make 4.4.1"),
        ninja: Some("1.13.2.git.kitware.jobserver-pipe-1"),
        ..Machine::default()
    }
}

fn planned(command: &str, machine: &Machine) -> Option<Plan> {
    let words: Vec<OsString> = command.split(' ').map(OsString::from).collect();
    plan(&words, machine)
}

fn option(at: usize) -> Option<Plan> {
    Some(Plan {
        option_before: Some(at),
        ..Plan::default()
    })
}

fn variable() -> Option<Plan> {
    Some(Plan {
        variable: true,
        ..Plan::default()
    })
}

#[test]
fn each_tool_in_each_version() {
    let (fifo, pipe) = (Some(served(Style::Fifo)), Some(served(Style::Pipe)));
    let mixed = Machine {
        make: Some("GNU Make 4.3"),
        ..new()
    };
    let no_make = Machine {
        make: None,
        ..new()
    };
    for (command, machine, expected) in [
        ("ninja -C b", &new(), fifo.clone()),
        ("/opt/ninja all", &no_make, fifo.clone()),
        ("ninja -C b", &mixed, option(1)),
        ("ninja", &OLD, option(1)),
        ("make all", &new(), fifo.clone()),
        ("make all", &OLD, pipe.clone()),
        ("cargo build", &new(), fifo.clone()),
        ("cargo build", &OLD, pipe.clone()),
        ("meson compile -C b", &new(), fifo.clone()),
        ("meson compile -C b", &OLD, option(2)),
        ("./build.sh", &new(), fifo.clone()),
        ("cmake --build b", &OLD, variable()),
        ("env A=b C=d ninja all", &OLD, option(4)),
        ("nice -n 5 nohup /usr/bin/ninja", &OLD, option(5)),
        ("nice make", &OLD, pipe.clone()),
    ] {
        assert_eq!(planned(command, machine), expected, "{command}");
    }
    let script = planned("sh -c make", &OLD).unwrap();
    assert_eq!(
        (script.jobserver, script.variable),
        (Some(Style::Pipe), true)
    );
}

#[test]
fn cmake_s_generator_decides() {
    let ninja =
        "CMAKE_GENERATOR:INTERNAL=Ninja Multi-Config\nCMAKE_MAKE_PROGRAM:FILEPATH=/usr/bin/ninja\n";
    let make =
        "CMAKE_MAKE_PROGRAM:FILEPATH=/usr/bin/make\r\nCMAKE_GENERATOR:INTERNAL=Unix Makefiles\r\n";
    let with = |cache, machine| Machine {
        cache: Some(cache),
        ..machine
    };
    let command = "cmake --build b --target all";
    assert_eq!(
        planned(command, &with(ninja, new())),
        Some(served(Style::Fifo))
    );
    assert_eq!(planned(command, &with(ninja, OLD)), variable());
    assert_eq!(
        planned(command, &with(make, OLD)),
        Some(served(Style::Pipe))
    );
    assert_eq!(
        planned("cmake --build elsewhere", &with(make, OLD)),
        variable()
    );
}

#[test]
fn who_chose_a_width_keeps_it() {
    for command in [
        "ninja -j4",
        "ninja -C b -j 4",
        "ninja -vj4",
        "make -j",
        "make -kj4 all",
        "make --jobs=4",
        "env A=b make -j4",
        "cargo build -j4",
        "cargo build --jobs 4",
        "cmake --build b -j 4",
        "cmake --build b --parallel 4",
        "cmake --build b -- -j4",
        "meson compile -j 4",
    ] {
        assert_eq!(planned(command, &new()), None, "{command}");
    }
    for command in [
        "ninja -C j4",
        "ninja -t clean",
        "make -C -j4",
        "make -fj.mk",
        "cargo run -- -j4",
        "cargo build -p jpeg",
        "make -- -j4",
    ] {
        assert!(planned(command, &new()).is_some(), "{command}");
    }
}

#[test]
fn variables_are_a_choice_too() {
    for (command, name, value, chosen) in [
        ("make", "MAKEFLAGS", "-j4", true),
        ("make", "MAKEFLAGS", "kj4", true),
        ("make", "MAKEFLAGS", "k --jobs=4", true),
        ("make", "MAKEFLAGS", "k", false),
        ("make", "MAKEFLAGS", " -j4 --jobserver-auth=3,4", false),
        ("cargo build", "CARGO_BUILD_JOBS", "4", true),
        ("cmake --build b", CMAKE_VARIABLE, "4", true),
        ("ninja", CMAKE_VARIABLE, "4", false),
    ] {
        let machine = Machine {
            variables: vec![(name, value)],
            ..new()
        };
        assert_eq!(
            planned(command, &machine).is_none(),
            chosen,
            "{name}={value}"
        );
    }
}
