//! The rows of the scheduling benchmark: three hosts of four slots, jobs of one second, against a schedule that knows all.

use hosts::pace::Kind;
use simulation::bound::list_schedule;
use simulation::client::{Build, Job};
use simulation::machine::{Fault, Nature};
use simulation::seeds::{middle_and_worst, over, seeds};
use simulation::world::World;

fn equal(count: usize) -> Vec<Job> {
    let kind = Kind::new(0, true, false);
    (0..count)
        .map(|number| Job::new(number, 1000.0, kind, 8))
        .collect()
}

struct Row {
    name: &'static str,
    jobs: usize,
    width: usize,
    paces: [f64; 3],
    slots: u32,
    ours: bool,
    faults: &'static [(u64, usize, Fault)],
    /// In ms, where it is not the list schedule.
    ideal: Option<f64>,
    most: f64,
}

const ROW: Row = Row {
    name: "",
    jobs: 60,
    width: 12,
    paces: [1.0, 1.0, 1.0],
    slots: 4,
    ours: true,
    faults: &[],
    ideal: None,
    most: 1.10,
};

fn ratio(row: &Row, seed: u64) -> f64 {
    let natures = row.paces.map(|pace| Nature {
        pace,
        ours: row.ours,
        ..Nature::default()
    });
    let mut world = World::new(seed, natures.clone());
    for (time, machine, fault) in row.faults {
        world.fault(*time * 1000, *machine, *fault);
    }
    let hosts = (0..3).map(|host| (host, row.slots)).collect();
    world.build(Build::new(equal(row.jobs), row.width, hosts));
    let took = world.run() as f64;
    assert_eq!(world.checks.local, 0, "{}", row.name);
    let natures: Vec<_> = natures
        .into_iter()
        .map(|nature| (nature, row.slots))
        .collect();
    let there = natures.iter().enumerate().filter(|(host, _)| {
        !row.faults
            .iter()
            .any(|(time, machine, _)| *time == 0 && machine == host)
    });
    let there: Vec<_> = there.map(|(_, nature)| nature.clone()).collect();
    let ideal = row
        .ideal
        .map_or(list_schedule(&there, vec![1e6; row.jobs]) as f64, |ms| {
            ms * 1e3
        });
    took / ideal
}

#[test]
fn rows() {
    const DEAD: Fault = Fault::Kill;
    let mut rows = vec![
        Row { name: "S1", ..ROW },
        Row {
            name: "S1b",
            width: 24,
            ..ROW
        },
        Row {
            name: "S1c",
            jobs: 120,
            width: 48,
            ..ROW
        },
        Row {
            name: "S2",
            paces: [1.0, 1.0, 10.0],
            ..ROW
        },
        Row {
            name: "S2b",
            jobs: 120,
            paces: [1.0, 1.0, 10.0],
            ..ROW
        },
        Row {
            name: "S2c",
            paces: [10.0, 1.0, 1.0],
            ..ROW
        },
        Row {
            name: "S2d",
            jobs: 120,
            paces: [10.0, 1.0, 1.0],
            ..ROW
        },
        Row {
            name: "S2e",
            jobs: 90,
            paces: [10.0, 1.0, 1.0],
            ..ROW
        },
        Row {
            name: "S3",
            slots: 12,
            ..ROW
        },
        Row {
            name: "S4",
            faults: &[(0, 0, DEAD)],
            ..ROW
        },
        Row {
            name: "S4b",
            faults: &[(0, 2, DEAD)],
            ..ROW
        },
        Row {
            name: "S5",
            faults: &[(0, 0, Fault::Cut)],
            ..ROW
        },
        Row {
            name: "S5b",
            faults: &[(0, 2, Fault::Cut)],
            ..ROW
        },
        Row {
            name: "S6",
            faults: &[(2400, 0, Fault::Kill)],
            ideal: Some(7000.0),
            most: 1.15,
            ..ROW
        },
        Row {
            name: "S7",
            faults: &[(2400, 0, Fault::Freeze)],
            ideal: Some(7000.0),
            most: 1.3,
            ..ROW
        },
    ];
    let stock: Vec<_> = rows
        .iter()
        .map(|row| Row {
            ours: false,
            ..*row
        })
        .collect();
    rows.extend(stock);
    let mut bad = Vec::new();
    for row in &rows {
        let ratios = over("rows", seeds(20), |seed| ratio(row, seed));
        let (middle, worst) = middle_and_worst(ratios);
        let whose = if row.ours { "ours" } else { "stock" };
        println!(
            "{:4} {whose:5} median {middle:.3} worst {worst:.3} of at most {:.2}",
            row.name, row.most
        );
        if middle > row.most {
            bad.push(row.name);
        }
    }
    assert!(bad.is_empty(), "{bad:?}");
}
