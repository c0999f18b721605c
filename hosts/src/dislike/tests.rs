use super::*;
use crate::list::parse;

struct World {
    temp: tempfile::TempDir,
    host: Host,
    start: SystemTime,
}

impl World {
    fn new() -> World {
        let host = parse("10.0.0.1").unwrap().hosts.remove(0);
        World {
            temp: tempfile::tempdir().unwrap(),
            host,
            start: SystemTime::now(),
        }
    }

    fn process(&self, period: Period) -> Dislikes {
        Dislikes::new(&Folder::at(self.temp.path()), period)
    }

    fn at(&self, seconds: f64) -> SystemTime {
        self.start + Duration::from_secs_f64(seconds)
    }

    fn file(&self) -> PathBuf {
        self.temp.path().join("lock/backoff_tcp_10.0.0.1_3632_0")
    }

    /// Seconds after the start until which the host is avoided, asked at `now`.
    fn until(&self, process: &Dislikes, now: f64) -> f64 {
        match process.may_try(&self.host, self.at(now)) {
            Try::No { until } => until.duration_since(self.start).unwrap().as_secs_f64(),
            other => panic!("avoided: {other:?}"),
        }
    }
}

#[test]
fn the_pause_doubles_up_to_three_seconds() {
    let world = World::new();
    let process = world.process(Period::Growing);
    assert!(matches!(
        process.may_try(&world.host, world.at(0.0)),
        Try::Yes
    ));
    let mut now = 0.0;
    for pause in [0.5, 1.0, 2.0, 3.0, 3.0, 3.0] {
        process.failed(&world.host, world.at(now)).unwrap();
        assert!((world.until(&process, now + 0.01) - now - pause).abs() < 1e-6);
        now += pause + 0.01;
        let probe = process.may_try(&world.host, world.at(now));
        assert!(matches!(probe, Try::YesAsProbe(_)), "{probe:?}");
    }
    process.worked(&world.host);
    assert!(!world.file().exists());
    process.failed(&world.host, world.at(now)).unwrap();
    assert!(
        (world.until(&process, now) - now - 0.5).abs() < 1e-6,
        "success starts over"
    );
}

#[test]
fn jobs_that_fail_together_count_once() {
    let world = World::new();
    for _ in 0..20 {
        world
            .process(Period::Growing)
            .failed(&world.host, world.at(0.1))
            .unwrap();
    }
    assert_eq!(std::fs::read(world.file()).unwrap(), b"x");
    assert!((world.until(&world.process(Period::Growing), 0.2) - 0.6).abs() < 1e-6);
}

#[test]
fn one_at_a_time_tries_again() {
    let world = World::new();
    let (one, two) = (
        world.process(Period::Growing),
        world.process(Period::Growing),
    );
    one.failed(&world.host, world.at(0.0)).unwrap();
    let probe = one.may_try(&world.host, world.at(1.0));
    assert!(matches!(probe, Try::YesAsProbe(_)));
    assert!((world.until(&two, 1.0) - 1.5).abs() < 1e-6);
    let own = one.may_try(&world.host, world.at(1.0));
    assert!(
        matches!(own, Try::Yes),
        "its own probe does not bind a process: {own:?}"
    );
    drop(probe);
    let probe = two.may_try(&world.host, world.at(1.0));
    assert!(matches!(probe, Try::YesAsProbe(_)));
    two.worked(&world.host);
    assert!(matches!(one.may_try(&world.host, world.at(1.0)), Try::Yes));
}

#[test]
fn a_set_period_means_what_stock_means() {
    let world = World::new();
    let process = world.process(Period::Fixed(Duration::from_secs(60)));
    process.failed(&world.host, world.at(0.0)).unwrap();
    process.failed(&world.host, world.at(10.0)).unwrap();
    assert_eq!(
        std::fs::read(world.file()).unwrap(),
        b"x",
        "stock finds what it writes itself"
    );
    assert!((world.until(&process, 69.9) - 70.0).abs() < 1e-6);
    assert!(matches!(
        process.may_try(&world.host, world.at(70.0)),
        Try::Yes
    ));
    process.worked(&world.host);
    assert!(!world.file().exists());
}

#[test]
fn period_zero_remembers_nothing() {
    let world = World::new();
    world
        .process(Period::Growing)
        .failed(&world.host, world.at(0.0))
        .unwrap();
    let process = world.process(Period::Fixed(Duration::ZERO));
    assert!(matches!(
        process.may_try(&world.host, world.at(0.0)),
        Try::Yes
    ));
    std::fs::remove_file(world.file()).unwrap();
    process.failed(&world.host, world.at(0.0)).unwrap();
    assert!(!world.file().exists());
}

#[test]
fn success_removes_only_what_this_process_saw() {
    let world = World::new();
    let process = world.process(Period::Growing);
    assert!(matches!(
        process.may_try(&world.host, world.at(0.0)),
        Try::Yes
    ));
    world
        .process(Period::Growing)
        .failed(&world.host, world.at(0.0))
        .unwrap();
    process.worked(&world.host);
    assert!(world.file().exists());
}

#[test]
fn a_time_from_the_future_does_not_bind() {
    let world = World::new();
    let process = world.process(Period::Growing);
    process.failed(&world.host, world.at(1e6)).unwrap();
    assert!(matches!(
        process.may_try(&world.host, world.at(0.0)),
        Try::YesAsProbe(_)
    ));
}

#[test]
fn the_variable_gives_the_period() {
    let period = |text: &str| Period::from_variable(Some(text.as_ref()));
    assert_eq!(Period::from_variable(None), Period::Growing);
    assert_eq!(period("soon"), Period::Growing);
    assert_eq!(period("0"), Period::Fixed(Duration::ZERO));
    assert_eq!(period("90"), Period::Fixed(Duration::from_secs(90)));
}

#[test]
fn unfit_is_for_one_compiler_and_a_while() {
    let world = World::new();
    let process = world.process(Period::Growing);
    let is = |compiler, seconds| process.is_unfit(&world.host, compiler, world.at(seconds));
    assert!(!is("gcc 12.2", 0.0));
    process
        .unfit(&world.host, "gcc 12.2", world.at(0.0))
        .unwrap();
    assert!(is("gcc 12.2", 0.0) && is("gcc 12.2", 599.0) && !is("gcc 13", 0.0));
    assert!(!is("gcc 12.2", 600.0));
    assert_eq!(
        std::fs::read_dir(world.temp.path().join("lock"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn what_cannot_be_written_is_an_error_and_what_cannot_be_read_is_nothing() {
    let world = World::new();
    let process = Dislikes::new(&Folder::at("/proc/no/such"), Period::Growing);
    assert!(matches!(
        process.may_try(&world.host, world.start),
        Try::Yes
    ));
    assert!(process.failed(&world.host, world.start).is_err());
    assert!(!process.is_unfit(&world.host, "gcc", world.start));
}
