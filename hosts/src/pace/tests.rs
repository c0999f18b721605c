use super::*;

fn work(unit: u8, bytes: u64) -> Work {
    Work {
        kind: Kind::new(1, true, false),
        unit: Unit::of([&b"/w"[..], &[unit]]),
        bytes: Some(bytes),
    }
}

#[test]
fn a_unit_is_expected_to_take_what_it_took_and_hosts_get_their_paces() {
    let paces = Paces::new(InMemory::default());
    let mut now = 1_000_000;
    for _ in 0..20 {
        for unit in 0..10 {
            now += 10;
            let own = 100.0 * (1 + unit) as f32;
            paces.finished(1, &work(unit, 0), own, 1, false, now);
            paces.finished(2, &work(unit, 0), own * 4.0, 1, false, now);
        }
    }
    let pace = |key| paces.host(key, now).pace(work(0, 0).kind, 0.3, now).exp();
    let ratio = pace(2) / pace(1);
    assert!((3.0..5.0).contains(&ratio), "{ratio}");
    let on_first = paces.expect(&work(4, 0)).expect("known").ms * pace(1);
    assert!((400.0..600.0).contains(&on_first), "{on_first}");
}

#[test]
fn a_new_host_is_measured_by_what_others_took() {
    let paces = Paces::new(InMemory::default());
    for unit in 0..20 {
        paces.finished(1, &work(unit, 4096), 1000.0, 1, false, 5000);
    }
    paces.finished(2, &work(100, 4096), 10_000.0, 1, false, 5000);
    let pace = paces.host(2, 5000).pace(work(0, 0).kind, 0.1, 5000).exp();
    assert!(pace > 7.0, "{pace}");
    paces.took_longer_than(3, &work(101, 4096), 3000.0, 5000);
    let pace = paces.host(3, 5000).pace(work(0, 0).kind, 0.1, 5000).exp();
    assert!(pace > 2.5, "{pace}");
}

/// It was silent once, and it lived, an hour before the clock was set back by an hour.
#[test]
fn a_clock_that_is_set_back_makes_no_host_dead_or_alive() {
    let paces = Paces::new(InMemory::default());
    let (then, now) = (9_000_000, 9_000_000 - 3_600_000);
    let ask = Sign::Ask { within: 1000 };
    assert_eq!(paces.sign(1, then, then), ask);
    paces.was_silent(1, then, then + 1000);
    assert_eq!(paces.sign(1, then, then + 1001), Sign::Silent);
    assert_eq!(paces.sign(1, now, now + 500), ask, "nothing is known");

    paces.answered(2, Some(4), Some((0, 40)), then);
    let failed = std::time::UNIX_EPOCH + std::time::Duration::from_millis(now);
    assert!(!paces.host(2, now).lives_since(failed));
    assert_eq!(paces.sign(2, now, now + 500), ask);
    paces.was_silent(2, now + 500, now + 1500);
    assert_eq!(paces.sign(2, now, now + 1501), Sign::Silent);
}

#[test]
fn there_is_room_for_a_thousand_hosts() {
    let paces = Paces::new(InMemory::default());
    let keys = |n: u32| fnv1a(&n.to_le_bytes());
    for host in 0..1000 {
        paces.change_host(keys(host), 1, |row| {
            row.answered(Some(1), Some((host, 0)), 1)
        });
    }
    let kept = (0..1000).filter(|host| paces.host(keys(*host), 1).key == keys(*host));
    assert_eq!(kept.count(), 1000);
    let known = (0..1000).filter(|host| paces.host(keys(*host), 1).capacity(1).is_some());
    assert!(known.count() > 950, "few had to go for others");
}

#[test]
fn the_file_keeps_what_was_noted_and_damage_is_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let folder = Folder::at(temp.path());
    let paces = || Paces::in_folder(&folder);
    for _ in 0..5 {
        paces().finished(9, &work(1, 100), 300.0, 1, false, 77);
    }
    assert_eq!(paces().host(9, 77).count, 5);
    assert!(paces().expect(&work(1, 100)).is_some());
    let file = folder.lock().join("paces");
    std::fs::write(&file, vec![0xa5; 1 << 20]).unwrap();
    assert_eq!(paces().host(9, 77).count, 0);
    assert_eq!(paces().expect(&work(1, 100)), None);
    std::fs::write(&file, b"short").unwrap();
    assert_eq!(paces().host(9, 77).count, 0);
    paces().finished(9, &work(1, 100), 300.0, 1, false, 77);
    let whole = std::fs::read(&file).unwrap();
    assert_eq!(paces().host(9, 77).count, 1);
    for cut in 1..=300 {
        std::fs::write(&file, &whole[..whole.len() - cut]).unwrap();
        assert_eq!(paces().host(9, 77).count, 0, "{cut} bytes are missing");
    }
    paces().finished(9, &work(1, 100), 300.0, 1, false, 77);
    assert_eq!(paces().host(9, 77).count, 1);
}

#[test]
fn without_a_folder_nothing_is_known_and_nothing_fails() {
    let paces = Paces::in_folder(&Folder::at("/proc/no/such"));
    paces.finished(9, &work(1, 100), 300.0, 1, false, 77);
    assert_eq!(paces.host(9, 77).count, 0);
    assert!(!paces.begin_copy(8));
}

#[test]
fn a_writer_that_is_stopped_stops_nobody() {
    let temp = tempfile::tempdir().unwrap();
    let folder = Folder::at(temp.path());
    let stopped = Table::new(&folder);
    let _lock = stopped.lock().expect("first");
    let paces = Paces::in_folder(&folder);
    paces.finished(9, &work(1, 100), 300.0, 1, false, 77);
    assert_eq!(paces.host(9, 77).count, 0, "not noted, and not waited for");
}
