//! Thousands of launchers on a thousand hosts of speeds one to ten, and smaller farms with jobs of many sizes: how far the
//! makespan is from a schedule that knows all speeds and sizes beforehand.

use hosts::pace::Kind;
use simulation::bound::list_schedule;
use simulation::client::{Build, Job};
use simulation::machine::Nature;
use simulation::random::Random;
use simulation::seeds::{middle_and_worst, over, seeds};
use simulation::world::World;

/// Jobs around `median` ms whose sizes say something of their times, not all.
fn jobs(count: usize, median: f64, spread: f64, random: &mut Random) -> Vec<Job> {
    let job = |number| {
        let own = random.log_normal(1.0, spread);
        let kind = Kind::new(random.below(2) as u8, random.chance(0.7), false);
        let bytes = 400.0 * own * random.log_normal(1.0, 0.4) * 1024.0;
        Job::new(number, median * own, kind, bytes as u64)
    };
    (0..count).map(job).collect()
}

struct Farm {
    hosts: usize,
    slots: u32,
    jobs: usize,
    width: usize,
    spread: f64,
}

/// Makespans against the bound: of the first build, and of the same one again.
fn ratios(farm: &Farm, seed: u64) -> (f64, f64) {
    let mut random = Random::new(seed);
    let natures: Vec<Nature> = (0..farm.hosts)
        .map(|_| Nature {
            pace: random.between(1.0f64.ln(), 10.0f64.ln()).exp(),
            ours: random.chance(0.5),
            ..Nature::default()
        })
        .collect();
    let jobs = jobs(farm.jobs, 1000.0, farm.spread, &mut random);
    let bounds: Vec<_> = natures
        .iter()
        .map(|nature| (nature.clone(), farm.slots))
        .collect();
    let bound = list_schedule(&bounds, jobs.iter().map(|job| job.work)) as f64;
    let hosts = (0..farm.hosts).map(|host| (host, farm.slots)).collect();
    let build = Build {
        spawn: 100,
        ..Build::new(jobs, farm.width, hosts)
    };
    let mut world = World::new(seed, natures.clone());
    world.build(build.clone());
    let first = world.run() as f64;
    let known = std::mem::take(&mut world.clients).remove(0).paces;
    let mut again = World::new(seed + 1, natures);
    again.build_again(build, known);
    let second = again.run() as f64;
    for (name, world, took) in [("first", &world, first), ("again", &again, second)] {
        tell(name, world, took, bound);
    }
    (first / bound, second / bound)
}

/// Says how a build went, where it is asked for.
fn tell(name: &str, world: &World, took: f64, bound: f64) {
    if std::env::var_os("SIM_TELL").is_none() {
        return;
    }
    let done = |share: f64| {
        let mut ends: Vec<_> = world.ends.clone();
        ends.sort_unstable();
        ends[((ends.len() - 1) as f64 * share) as usize] as f64 / 1e6
    };
    println!(
        "{name}: took {:.2} of {:.2}; half done {:.2}, 90 % {:.2}, 99 % {:.2}; {} copies, {} local",
        took / 1e6,
        bound / 1e6,
        done(0.5),
        done(0.9),
        done(0.99),
        world.checks.copies,
        world.checks.local
    );
}

fn check(name: &str, count: u64, most: (f64, f64), farm: &Farm) {
    let both = over(name, seeds(count), |seed| ratios(farm, seed));
    let first = middle_and_worst(both.iter().map(|(first, _)| *first).collect());
    let again = middle_and_worst(both.iter().map(|(_, again)| *again).collect());
    println!(
        "{name}: first median {:.3} worst {:.3}, again median {:.3} worst {:.3}",
        first.0, first.1, again.0, again.1
    );
    assert!(
        first.0 <= most.0 && again.0 <= most.1,
        "{name}: {first:?} {again:?} of at most {most:?}"
    );
}

#[test]
fn a_thousand_hosts() {
    let farm = Farm {
        hosts: 1000,
        slots: 1,
        jobs: 30_000,
        width: 1500,
        spread: 0.0,
    };
    check("a_thousand_hosts", 1, (1.15, 1.15), &farm);
}

#[test]
fn many_hosts_with_jobs_of_all_sizes() {
    let farm = Farm {
        hosts: 200,
        slots: 1,
        jobs: 6000,
        width: 300,
        spread: 0.8,
    };
    check("many_hosts_with_jobs_of_all_sizes", 5, (1.15, 1.15), &farm);
}

#[test]
fn a_small_farm() {
    let farm = Farm {
        hosts: 6,
        slots: 4,
        jobs: 600,
        width: 30,
        spread: 0.8,
    };
    check("a_small_farm", 30, (1.15, 1.15), &farm);
}
