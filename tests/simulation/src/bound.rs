//! What a schedule could be that knows all speeds and all times beforehand.

use crate::Micros;
use crate::machine::Nature;

/// The makespan of the list schedule: each job in its turn goes to where it ends first.  A lane for each compile that a host
/// runs at once, as far as its list entry gives slots for it.
pub fn list_schedule(hosts: &[(Nature, u32)], work: impl IntoIterator<Item = f64>) -> Micros {
    let lanes = hosts.iter().flat_map(|(nature, slots)| {
        let count = nature.jobs.min(nature.processors).min(*slots as usize);
        std::iter::repeat_n((0.0, nature.pace), count)
    });
    let mut lanes: Vec<(f64, f64)> = lanes.collect();
    let mut last = 0.0f64;
    for work in work {
        let ends = lanes.iter_mut().map(|(free, pace)| {
            let end = *free + work * *pace;
            (end, free)
        });
        let Some((end, lane)) = ends.min_by(|one, two| one.0.total_cmp(&two.0)) else {
            return Micros::MAX;
        };
        *lane = end;
        last = last.max(end);
    }
    last as Micros
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_goes_where_it_ends_first() {
        let host = |pace, jobs| Nature {
            pace,
            jobs,
            ..Nature::default()
        };
        let hosts = [(host(1.0, 2), 2), (host(10.0, 4), 4)];
        assert_eq!(list_schedule(&hosts, [100.0; 18]), 900);
        assert_eq!(list_schedule(&hosts, [100.0; 22]), 1000);
        assert_eq!(list_schedule(&[(host(1.0, 2), 8)], [100.0; 5]), 300);
    }
}
