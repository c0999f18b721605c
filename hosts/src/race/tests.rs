use super::*;

const SECOND: Expected = Expected {
    ms: 1000.0,
    spread: 0.1,
};

fn sent(expected: Option<Expected>, answers: bool) -> (Race, LegId) {
    let mut race = Race::new(Copies::Yes);
    assert_eq!(race.step(0), Step::Queue);
    let leg = race.started(0);
    race.sent(leg, expected, answers, 0);
    (race, leg)
}

/// The first step that is no waiting, and when; nothing new is expected of the job.
fn next(race: &mut Race, mut now: Moment) -> (Step, Moment) {
    loop {
        match race.step(now) {
            Step::Watch(until) if until < 1_000_000 => {
                assert!(until > now, "it would spin at {now}");
                now = until;
            }
            Step::Expect(_) => {}
            step => return (step, now),
        }
    }
}

/// Two hosts that are far away: whichever is reached first gets the job, and no other.
#[test]
fn of_two_that_are_not_reached_the_first_that_is_has_the_job_alone() {
    for (winner, at_once) in [(0, false), (1, false), (0, true), (1, true)] {
        let mut race = Race::new(Copies::Yes);
        let first = race.started(0);
        let (step, now) = next(&mut race, 0);
        assert!(matches!(step, Step::Copy { counts: false, .. }), "{step:?}");
        let legs = [first, race.started(now)];
        match at_once {
            true => race.sent(legs[winner], Some(SECOND), false, now + 50),
            false => race.connected(legs[winner], false, now + 50),
        }
        assert_eq!(race.step(now + 50), Step::Leave(legs[1 - winner]));
        race.ended(legs[1 - winner]);
        assert!(matches!(race.step(now + 50), Step::Watch(_)));
    }
}

/// The network is gone, say: the next host is tried a moment after the last, and not when that has failed.
#[test]
fn as_long_as_none_is_reached_others_are_tried() {
    let mut race = Race::new(Copies::No);
    let mut now = 0;
    let mut legs = vec![race.started(now)];
    while legs.len() < TRIED_AT_ONCE {
        let (step, then) = next(&mut race, now);
        assert!(matches!(step, Step::Copy { counts: false, .. }), "{step:?}");
        assert_eq!(then, now + CONNECT_ALONE);
        now = then;
        legs.push(race.started(now));
    }
    let step = race.step(now + 1000);
    assert!(matches!(step, Step::Watch(_)), "{step:?}");
    let last = legs.pop().expect("there are some");
    race.connected(last, false, now + 1000);
    for leg in legs {
        assert_eq!(race.step(now + 1000), Step::Leave(leg));
        race.ended(leg);
    }
    assert!(matches!(race.step(now + 1000), Step::Watch(_)));
}

/// A host has the job, and is late.
#[test]
fn a_copy_that_is_reached_does_not_end_the_first() {
    let (mut race, _) = sent(Some(SECOND), false);
    let copy = race.started(5000);
    race.connected(copy, false, 5010);
    race.sent(copy, Some(SECOND), false, 5020);
    let (step, _) = next(&mut race, 5020);
    assert!(!matches!(step, Step::Leave(_)), "{step:?}");
}

/// It took a second to gather what the job is sent as.
#[test]
fn what_is_gathered_first_is_not_the_hosts_time() {
    let mut race = Race::new(Copies::Yes);
    let leg = race.started(0);
    race.set_out(leg, 1000);
    let (step, now) = next(&mut race, 1000);
    assert!(matches!(step, Step::Copy { .. }), "{step:?}");
    assert_eq!(now, 1000 + CONNECT_ALONE);
}

fn idle(number: u32) -> Option<Idle> {
    Some(Idle {
        host: 3,
        number,
        ms: Some(1000.0),
    })
}

#[test]
fn a_late_job_gets_a_second_copy_where_a_slot_stands_idle() {
    let (mut race, leg) = sent(Some(SECOND), false);
    let (step, late) = next(&mut race, 0);
    assert!(matches!(step, Step::Note(noted, ms) if noted == leg && ms > 1500.0));
    assert!((1500..2500).contains(&late), "{late}");
    let (step, mut now) = next(&mut race, late);
    assert_eq!(step, Step::Look);
    // A slot that is free only between two jobs is another each time.
    for number in 0..5 {
        race.looked(idle(number), now);
        (_, now) = next(&mut race, now);
        assert_eq!(race.step(now), Step::Look);
    }
    for _ in 0..LOOKS {
        assert_eq!(race.step(now), Step::Look);
        race.looked(idle(7), now);
        (_, now) = next(&mut race, now);
    }
    let copy = Step::Copy {
        host: Some(3),
        counts: true,
    };
    assert_eq!(race.step(now), copy);
    let second = race.started(now);
    race.sent(second, Some(SECOND), false, now);
    let (step, _) = next(&mut race, now + 1);
    assert!(matches!(step, Step::Note(..)), "no third one: {step:?}");
    race.ended(second);
    race.ended(leg);
    assert_eq!(race.step(now), Step::Queue);
}

#[test]
fn a_slot_that_takes_longer_than_the_job_has_is_no_use() {
    let (mut race, _) = sent(Some(SECOND), false);
    let (_, mut now) = next(&mut race, 0);
    (_, now) = next(&mut race, now);
    for _ in 0..10 {
        let slow = idle(1).map(|idle| Idle {
            ms: Some(60_000.0),
            ..idle
        });
        race.looked(slow, now);
        let step;
        (step, now) = next(&mut race, now);
        assert!(matches!(step, Step::Look | Step::Note(..)), "{step:?}");
    }
}

#[test]
fn who_may_have_none_asks_again_later() {
    let (mut race, _) = sent(Some(SECOND), false);
    let (_, late) = next(&mut race, 0);
    race.refused(true, late);
    let (_, again) = next(&mut race, late + 1);
    assert!(again >= late + ASK_AGAIN.min(late));
}

/// The next step that asks for something of other hosts, where none of them stands idle.
fn next_wish(race: &mut Race, mut now: Moment) -> (Step, Moment) {
    loop {
        let (step, then) = next(race, now);
        now = then;
        match step {
            Step::Look => race.looked(None, now),
            Step::Note(..) => {}
            step => return (step, now),
        }
    }
}

#[test]
fn a_job_as_good_as_lost_takes_any_slot() {
    let (mut race, first) = sent(Some(SECOND), false);
    let any = Step::Copy {
        host: None,
        counts: true,
    };
    let (step, now) = next_wish(&mut race, 0);
    assert_eq!(step, any);
    assert!((10_000..20_000).contains(&now), "{now}");
    assert_eq!(race.lost(now), [first]);
    race.refused(false, now);
    let (step, again) = next(&mut race, now);
    assert_eq!(step, any);
    assert!(again <= now + TRY_EVERY);

    let second = race.started(now);
    race.sent(second, Some(SECOND), false, now);
    let (step, then) = next_wish(&mut race, now);
    assert_eq!(step, any, "the copy is lost too");
    assert!((now + 10_000..now + 20_000).contains(&then), "{now} {then}");
    assert_eq!(race.lost(then), [first, second]);
}

#[test]
fn who_does_not_answer_the_connection_is_not_waited_for_alone() {
    let mut race = Race::new(Copies::No);
    let first = race.started(0);
    let (step, now) = next(&mut race, 0);
    let needed = Step::Copy {
        host: None,
        counts: false,
    };
    assert_eq!((step, now), (needed, CONNECT_ALONE));
    let second = race.started(now);
    race.sent(second, None, false, now + 5);
    assert_eq!(race.step(now + 10), Step::Leave(first));
    race.ended(first);
    assert!(matches!(race.step(now + 20), Step::Watch(_)));
}

#[test]
fn signs_of_life_are_asked_for_each_second() {
    let (mut race, leg) = sent(
        Some(Expected {
            ms: 60_000.0,
            spread: 0.1,
        }),
        true,
    );
    let (step, now) = next(&mut race, 0);
    assert_eq!((step, now), (Step::Sign(leg), SIGN_FIRST));
    race.sign(leg, now + SIGN_EVERY);
    let (step, now) = next(&mut race, now);
    assert_eq!((step, now), (Step::Sign(leg), SIGN_FIRST + SIGN_EVERY));
}

#[test]
fn without_copies_a_late_job_waits_until_it_is_as_good_as_lost() {
    let mut race = Race::new(Copies::No);
    let leg = race.started(0);
    race.sent(leg, Some(SECOND), false, 0);
    let (step, now) = next_wish(&mut race, 0);
    assert_eq!(step, Step::GiveUp);
    assert!((10_000..20_000).contains(&now), "{now}");
    assert_eq!(race.lost(now), [leg]);
    race.refused(true, now);
    let (step, again) = next_wish(&mut race, now);
    assert_eq!((step, again), (Step::GiveUp, now + ASK_AGAIN));
}

#[test]
fn of_a_job_of_which_nothing_is_known_no_deadline_is() {
    let (mut race, _) = sent(None, false);
    let (step, now) = next_wish(&mut race, 0);
    assert!(matches!(step, Step::Copy { host: None, .. }), "{step:?}");
    assert_eq!(race.lost(now + 100_000), []);
}

#[test]
fn who_is_still_preprocessing_for_a_host_that_took_the_connection_does_not_leave_it() {
    let mut race = Race::new(Copies::Yes);
    let leg = race.started(0);
    race.connected(leg, true, 3);
    let (step, now) = next(&mut race, 4);
    assert_eq!((step, now), (Step::Sign(leg), 3 + SIGN_FIRST));
    race.sign(leg, Moment::MAX);
    assert!(matches!(race.step(60_000), Step::Watch(_)));
}

#[test]
fn what_is_learnt_while_the_job_runs_counts() {
    let (mut race, leg) = sent(None, false);
    let mut now = 0;
    while race.step(now) != Step::Expect(leg) {
        now += 100;
    }
    assert!(now <= 1000, "{now}");
    let slow = |ms| Some(Expected { ms, spread: 0.1 });
    race.expect(leg, slow(10_000.0), Some(1000.0));
    let (step, now) = next(&mut race, now);
    assert_eq!(step, Step::Look, "it is on a slow host");
    race.looked(idle(0), now);
    let (step, mut now) = next(&mut race, now);
    assert_eq!(step, Step::Look);
    race.looked(idle(0), now);
    (_, now) = next(&mut race, now);
    race.looked(idle(0), now);
    let (step, now) = next(&mut race, now);
    assert!(matches!(step, Step::Copy { host: Some(3), .. }));
    // What this job has taken so far makes its host no slower in its own eyes.
    race.refused(true, now);
    let (step, late) = next(&mut race, now + 20_000);
    assert!(matches!(step, Step::Note(..)), "{step:?}");
    race.expect(leg, slow(2.0 * late as f32), Some(1000.0));
    let (step, _) = next(&mut race, late);
    assert_eq!(step, Step::Look, "it is late all the same");
}
