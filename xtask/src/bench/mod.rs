//! Measures beside stock distcc, in one run, and prints the table for the README.
//!
//! The measuring itself is done by the scripts in `benches/` (network namespaces, cgroups, a stand-in compiler); here they are run
//! for stock and for us, one after the other, and their figures put side by side.

mod load;
mod memory;
mod read;
mod schedule;

use crate::{clean_up, dist, packages, workspace};
use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use load::Load;
use read::{Launch, Real, Speed};
use schedule::Schedule;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to measure; everything if nothing is named
    parts: Vec<Part>,
    /// Where the helper programs and the workload are kept (a folder that every user may enter)
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Part {
    /// What one compile and one link cost the client, and how many instructions
    Launcher,
    /// Client CPU of 60 real C units
    Real,
    /// The same units, and 24 of RocksDB, sent with their includes: CPU of client and include server; objects
    Pump,
    /// Makespan against the ideal on three hosts that are slow, dead, killed, frozen or shared (half an hour)
    Scheduling,
    /// Jobs per second, CPU, memory and slow peers of the daemon, and its own clock over 20 000 jobs
    Daemon,
    /// LZO1X beside liblzo2
    Lzo,
    /// Peak memory of the launcher
    Memory,
}

/// A launcher and the daemon that it talks to.
struct Side {
    name: &'static str,
    launcher: PathBuf,
    daemon: PathBuf,
    /// How the scripts start the daemon; they fill in the braces.
    template: String,
}

/// One line of the table.
struct Row {
    what: String,
    aim: &'static str,
    stock: String,
    ours: String,
    met: bool,
}

const DAEMON_OPTIONS: &str = "--no-detach --daemon --allow {allow} --listen {ip} -p {port} -j {jobs} --log-file {log} --log-level notice";
/// Ours empties the compiler's environment, in which the stand-in compiler looks for its orders.
const PASSED_ON: &str = "--pass-env FAKE_CC_MS --pass-env FAKE_CC_SIZE --stats";
/// What only our daemon's words have.
const WATCHED: &str = "--stats";

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let wants = |part| options.parts.is_empty() || options.parts.contains(&part);
    let in_namespaces = [
        Part::Launcher,
        Part::Real,
        Part::Pump,
        Part::Scheduling,
        Part::Daemon,
    ];
    let as_root = in_namespaces.into_iter().any(wants);
    if as_root && !rustix::process::geteuid().is_root() {
        bail!(
            "the measuring scripts make network namespaces, which takes root; run: sudo env \"PATH=$PATH\" cargo xtask bench"
        );
    }
    clean_up::on_interrupt()?;
    packages::ensure(packages::BENCH)?;
    let target = workspace::target_dir()?;
    let folder = std::path::absolute(options.dir.clone().unwrap_or_else(|| target.join("bench")))?;
    if as_root {
        everybody_may_enter(&folder)?;
        set_up(&folder)?;
    }
    let sides = sides(&dist::build()?)?;

    let mut rows = Vec::new();
    if wants(Part::Launcher) {
        let measure = |side: &Side| launcher(&folder, side);
        rows.extend(Launch::rows(&measure(&sides[0])?, &measure(&sides[1])?));
    }
    if wants(Part::Real) {
        let measure = |side: &Side| real(&folder, side, "real", C_UNITS, &["raw,E,plain,lzo", ""]);
        rows.extend(Real::rows(&measure(&sides[0])?, &measure(&sides[1])?));
    }
    if wants(Part::Pump) {
        rows.extend(pump(&folder, &sides[1])?);
    }
    if wants(Part::Scheduling) {
        let measure = |side: &Side| scheduling(&folder, side);
        rows.extend(Schedule::rows(&measure(&sides[0])?, &measure(&sides[1])?));
    }
    if wants(Part::Daemon) {
        let measure = |side: &Side| daemon(&folder, side);
        let bare = without_box(&sides[1]);
        let [stock, ours, bare] = [&sides[0], &sides[1], &bare].map(measure);
        rows.extend(Load::rows(&stock?, &ours?, &bare?));
    }
    if wants(Part::Lzo) {
        rows.extend(lzo(&target)?.rows());
    }
    if wants(Part::Memory) {
        rows.extend(memory::rows(&sides)?);
    }
    print(&rows);
    Ok(ExitCode::SUCCESS)
}

fn sides(bin: &Path) -> Result<[Side; 2]> {
    let side = |name, launcher: PathBuf, daemon: PathBuf, more: &str| Side {
        name,
        template: format!("{} {DAEMON_OPTIONS} {more}", daemon.display()),
        launcher,
        daemon,
    };
    let stock = |name| which::which(name).with_context(|| format!("stock {name} is not in PATH"));
    Ok([
        side("stock distcc", stock("distcc")?, stock("distccd")?, ""),
        side(
            "distcc-launch",
            bin.join("distcc-launch"),
            bin.join("distcc-launchd"),
            PASSED_ON,
        ),
    ])
}

/// Daemons that were started as root give their rights up, and must still find the stand-in compilers.
fn everybody_may_enter(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("could not create {}", folder.display()))?;
    for above in folder.ancestors() {
        let mode = fs::metadata(above)
            .with_context(|| format!("could not look at {}", above.display()))?
            .permissions()
            .mode();
        if mode & 0o001 == 0 {
            bail!(
                "daemons run as another user and may not enter {}; name a folder elsewhere with --dir",
                above.display()
            );
        }
    }
    Ok(())
}

/// Builds the helper programs and records the workload, unless that was done before; fresh scripts in any case.
fn set_up(folder: &Path) -> Result<()> {
    say(
        "preparing (the first time takes minutes: the compile commands of four crates are recorded)",
    );
    let mut setup = Command::new("bash");
    setup
        .arg(workspace::root().join("benches/setup.sh"))
        .env("BENCH_DIR", folder)
        .stdout(io::stderr());
    setup.env_remove("CARGO_TARGET_DIR");
    let status = clean_up::run(&mut setup).context("could not start bash")?;
    if !status.success() {
        bail!("benches/setup.sh failed: {status}");
    }
    Ok(())
}

/// The same daemon, whose compilers run in no box.
fn without_box(side: &Side) -> Side {
    Side {
        name: "distcc-launch without the box",
        launcher: side.launcher.clone(),
        daemon: side.daemon.clone(),
        template: format!("{} --sandbox=off", side.template),
    }
}

fn launcher(folder: &Path, side: &Side) -> Result<Launch> {
    let out = result_file(folder, "launcher", side)?;
    let mut script = script(folder, "launcher.py", side);
    script.args(["--only", "^(gcc|L )", "--out"]).arg(&out);
    run_script(&mut script, "what one compile costs", side)?;
    Launch::read(&fs::read(&out)?).with_context(|| format!("{} has an unknown form", out.display()))
}

/// Units of the workload: how many, and of which crates.
type Units = (&'static str, &'static [&'static str]);

const C_UNITS: Units = ("60", &["libgit2-sys", "zstd-sys", "libz-sys"]);
const CPP_UNITS: Units = ("24", &["rocksdb"]);

/// `real.py` in these modes, with these flags for each unit.
fn real(
    folder: &Path,
    side: &Side,
    name: &str,
    units: Units,
    [modes, flags]: &[&str; 2],
) -> Result<Real> {
    let out = result_file(folder, name, side)?;
    let (count, crates) = units;
    let mut script = script(folder, "real.py", side);
    script.args(["--pump-cmd", "", "--modes", modes, "-n", count]);
    script
        .arg(format!("--flags={flags}"))
        .arg("--out")
        .arg(&out);
    for wanted in crates {
        script.args(["--want", wanted]);
    }
    run_script(&mut script, &format!("{count} real units"), side)?;
    Real::read(&fs::read(&out)?).with_context(|| format!("{} has an unknown form", out.display()))
}

/// The aims are 0.20 s where `gcc -E` takes 1.45 s, and 0.15 s where it takes 2.03 s.
fn pump(folder: &Path, side: &Side) -> Result<Vec<Row>> {
    let measure = |name: &str, units| -> Result<[Real; 2]> {
        let run = |flags| real(folder, side, name, units, &["raw,E,pump", flags]);
        Ok([run("")?, run("-g")?])
    };
    let c = measure("pump-c", C_UNITS)?;
    let cpp = measure("pump-cpp", CPP_UNITS)?;
    let mut rows = Real::pump_rows("60 C units", 0.20 / 1.45, "≤ 0.138 × `gcc -E`", &c);
    rows.extend(Real::pump_rows(
        "24 C++ units",
        0.15 / 2.03,
        "≤ 0.074 × `gcc -E`",
        &cpp,
    ));
    Ok(rows)
}

fn scheduling(folder: &Path, side: &Side) -> Result<Schedule> {
    let mut script = script(folder, "scheduling.py", side);
    script.args([
        "--ms",
        "1000",
        "--reps",
        "3",
        "--cenv",
        "DISTCC_LAUNCH_LOCAL=0",
    ]);
    let text = run_script(&mut script, "three hosts of sleeping compilers", side)?;
    Schedule::read(&text).context("scheduling.py printed something unexpected")
}

fn daemon(folder: &Path, side: &Side) -> Result<Load> {
    let out = result_file(folder, "daemon", side)?;
    // Stock tells no clock.
    let sections = if side.template.contains(WATCHED) {
        "load,slow,clock"
    } else {
        "load,slow"
    };
    let mut script = script(folder, "daemon.py", side);
    script
        .args(["--sections", sections, "--jobs", "8", "--conc", "8,64"])
        .arg("--out")
        .arg(&out);
    run_script(&mut script, "the daemon under load", side)?;
    Load::read(&fs::read(&out)?).with_context(|| format!("{} has an unknown form", out.display()))
}

/// Ours and liblzo2 on the preprocessed text of a C++ source of about 2 MB.
fn lzo(target: &Path) -> Result<Speed> {
    say("LZO1X beside liblzo2");
    let folder = clean_up::Folder::new("distcc-launch-bench-")?;
    let (source, text) = (folder.path().join("a.cc"), folder.path().join("a.ii"));
    fs::write(
        &source,
        "#include <regex>\n#include <map>\n#include <iostream>\n#include <filesystem>\n#include <thread>\n",
    )?;
    workspace::run(
        Command::new("g++")
            .args(["-std=c++17", "-E", "-o"])
            .arg(&text)
            .arg(&source),
    )?;
    let mut example = workspace::cargo();
    example.args([
        "run",
        "--release",
        "--quiet",
        "--package",
        "protocol",
        "--example",
        "lzo_speed",
        "--target-dir",
    ]);
    let printed = workspace::output(example.arg(target).arg("--").arg(&text))?;
    eprint!("{printed}");
    Speed::read(&printed).context("the example lzo_speed printed something unexpected")
}

fn result_file(folder: &Path, name: &str, side: &Side) -> Result<PathBuf> {
    let results = folder.join("results");
    fs::create_dir_all(&results)
        .with_context(|| format!("could not create {}", results.display()))?;
    Ok(results.join(format!("{name}-{}.json", side.name.replace(' ', "-"))))
}

fn script(folder: &Path, name: &str, side: &Side) -> Command {
    let mut command = Command::new("python3");
    command
        .arg(folder.join(name))
        .arg("--launcher")
        .arg(&side.launcher)
        .arg("--daemon")
        .arg(&side.template);
    workspace::without_distcc_settings(&mut command).current_dir(folder);
    // `cargo run` sets it, and every program measured would search there for its libraries.
    command.env_remove("LD_LIBRARY_PATH");
    command
}

/// What the script prints; people see it while it comes.
fn run_script(script: &mut Command, what: &str, side: &Side) -> Result<String> {
    say(&format!("{what}: {}", side.name));
    let mut child = script
        .stdout(Stdio::piped())
        .spawn()
        .context("could not start python3")?;
    let mut text = String::new();
    for line in BufReader::new(child.stdout.take().expect("standard output is a pipe")).lines() {
        let line = line.context("could not read what the script prints")?;
        writeln!(io::stderr(), "{line}").context("could not write to standard error")?;
        text.push_str(&line);
        text.push('\n');
    }
    let status = child.wait().context("could not wait for the script")?;
    if !status.success() {
        bail!("{} failed: {status}", workspace::shown(script));
    }
    Ok(text)
}

fn print(rows: &[Row]) {
    println!("| | aim | stock distcc | distcc-launch | |");
    println!("|---|---|---|---|---|");
    for Row {
        what,
        aim,
        stock,
        ours,
        met,
    } in rows
    {
        println!(
            "| {what} | {aim} | {stock} | {ours} | {} |",
            if *met { "met" } else { "missed" }
        );
    }
    let first_line = |path: &str| {
        fs::read_to_string(path)
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or_default();
    let processors = cpu
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    println!(
        "\n{processors} x {}, Linux {}, load at the end {}",
        model.trim_start_matches([' ', '\t', ':']),
        first_line("/proc/sys/kernel/osrelease"),
        first_line("/proc/loadavg")
    );
}

fn say(what: &str) {
    eprintln!("bench: {what}");
}
