mod there;
use compiler::diagnostics::{self, Charset, Said};
use compiler::*;
use std::ffi::*;
use std::os::unix::ffi::*;
use std::path::*;
fn lzo(b: &[u8]) -> usize {
    use std::io::Write;
    let mut c = std::process::Command::new("lzop")
        .args(["-1", "-c"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut i = c.stdin.take().unwrap();
    let b = b.to_vec();
    let h = std::thread::spawn(move || {
        i.write_all(&b).unwrap();
    });
    let o = c.wait_with_output().unwrap();
    h.join().unwrap();
    o.stdout.len()
}
#[test]
fn units() {
    let flags = std::env::var("UFLAGS").unwrap_or_default();
    let want = std::env::var("UWANT").unwrap_or_default();
    let nmax: usize = std::env::var("UN").unwrap_or("20".into()).parse().unwrap();
    let cc = std::env::var("UCC").unwrap_or("gcc".into());
    let nocomp = std::env::var("UNOC").is_ok();
    let force = std::env::var("UM")
        .ok()
        .and_then(|m| Manner::from_name(m.as_bytes()));
    let root = format!("/tmp/mn/u{}", std::process::id());
    std::fs::create_dir_all(&root).unwrap();
    let rows: Vec<serde_json::Value> =
        std::fs::read_to_string("/work/bench/workload/commands.jsonl")
            .unwrap()
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .filter(|r: &serde_json::Value| {
                let c = r["cwd"].as_str().unwrap();
                let cxx = r["argv"][0] == "g++";
                if want.is_empty() {
                    !cxx
                } else {
                    c.contains(&want)
                }
            })
            .collect();
    let step = (rows.len() / nmax).max(1);
    let (mut n, mut ok) = (0, 0);
    let (mut sa, mut sx) = (0, 0);
    for r in rows.iter().step_by(step).take(nmax) {
        let cwd = PathBuf::from(r["cwd"].as_str().unwrap());
        let mut w: Vec<OsString> = r["argv"]
            .as_array()
            .unwrap()
            .iter()
            .map(|w| w.as_str().unwrap().into())
            .collect();
        let p0 = w.remove(0);
        let cxx = p0 == "g++";
        let program: OsString = match (cc.as_str(), cxx) {
            ("clang", true) => "clang++".into(),
            ("clang", false) => "clang".into(),
            _ => p0,
        };
        w.extend(response::split(flags.as_bytes()));
        let o = w.iter().position(|x| x == "-o").unwrap();
        let loc = format!("{root}/l.o");
        w[o + 1] = loc.clone().into();
        let fam = if cc == "clang" {
            Family::Clang
        } else {
            Family::Gcc
        };
        let about = Surroundings::new(cwd.as_os_str());
        let Verdict::Distribute(job) = classify(fam, cxx, &w, &about) else {
            println!("stays {w:?}");
            continue;
        };
        let ms = match job.manners(true, there::IDENT) {
            Ok(m) => m.to_vec(),
            Err(e) => {
                println!("here {} {}", e.code(), job.source().display());
                n += 1;
                continue;
            }
        };
        let m = force.unwrap_or(ms[0]);
        n += 1;
        if nocomp {
            let t = there::run(
                &program,
                &job.preprocess_args_for(m, None).unwrap(),
                &cwd,
                "C",
            );
            let e = there::run(
                &program,
                &job.preprocess_args_for(Manner::Expanded, None).unwrap(),
                &cwd,
                "C",
            );
            match manner::prepare(&job, m, &t.stdout) {
                Ok(p) => {
                    let (a, x) = (lzo(&e.stdout), lzo(&p));
                    sa += a;
                    sx += x;
                    println!(
                        "{} {a} {x} {:.2} raw {}",
                        job.source().display(),
                        x as f64 / a as f64,
                        lzo(&t.stdout)
                    );
                }
                Err(t) => println!("trap {t:?} {}", job.source().display()),
            };
            continue;
        }
        let local = there::run(&program, &w, &cwd, "C");
        if !local.status.success() {
            println!(
                "local fails {} {}",
                job.source().display(),
                String::from_utf8_lossy(&local.stderr)
            );
            continue;
        }
        if m == Manner::Expanded {
            println!("expanded {}", job.source().display());
            continue;
        }
        let there_dir = PathBuf::from(format!("{root}/there"));
        match there::compile(&program, &job, m, &there_dir) {
            Err(t) => println!("trap {t:?} {}", job.source().display()),
            Ok(out) => {
                let same = out.product == std::fs::read(&loc).unwrap();
                ok += usize::from(same);
                if !same {
                    println!(
                        "DIFFERS {} {:?}\n {}",
                        job.source().display(),
                        m,
                        String::from_utf8_lossy(&out.there.stderr)
                            .lines()
                            .take(5)
                            .collect::<Vec<_>>()
                            .join("\n")
                    );
                }
                let said = diagnostics::as_local(
                    &job,
                    m,
                    Charset::Ascii,
                    &out.here,
                    &out.there.stderr,
                    &mut |n| std::fs::read(cwd.join(n)).ok(),
                );
                let strip = |b: &[u8]| {
                    String::from_utf8_lossy(b)
                        .split_inclusive('\n')
                        .filter(|l| {
                            let t = l
                                .trim_start_matches(' ')
                                .trim_start_matches(|c: char| c.is_ascii_digit());
                            !(t.starts_with(" |"))
                        })
                        .collect::<String>()
                };
                match said {
                    Said::Text(t) => {
                        if strip(&t) != strip(&local.stderr) {
                            println!(
                                "STDERR {} local\n{}\n ours\n{}",
                                job.source().display(),
                                strip(&local.stderr),
                                strip(&t)
                            )
                        } else if !local.stderr.is_empty() {
                            println!(
                                "stderr same {} {}",
                                job.source().display(),
                                local.stderr.len()
                            )
                        }
                    }
                    Said::CompileHere => println!(
                        "again here {} (local {} bytes)",
                        job.source().display(),
                        local.stderr.len()
                    ),
                }
            }
        }
    }
    println!(
        "{flags}: {ok} of {n}; lzo {sx} for {sa}: {:.2}",
        sx as f64 / sa.max(1) as f64
    );
    let _ = std::fs::remove_dir_all(&root);
}
