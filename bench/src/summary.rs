//! Medians and spread of the samples.

use crate::machine::Machine;
use crate::sample::{Figure, Sample, Scenario};
use crate::server::Name;
use serde::{Deserialize, Serialize};

/// The content of the file of raw numbers.
#[derive(Serialize, Deserialize)]
pub struct Run {
    pub machine: Machine,
    pub samples: Vec<Sample>,
}

/// Median, minimum and maximum of the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Run {
    /// Of the measurements of `server` in `scenario`; `None` if there are none.
    pub fn spread(&self, scenario: Scenario, server: Name, figure: Figure) -> Option<Spread> {
        self.spread_where(scenario, server.text(), figure, |_| true)
    }

    /// Of the measurements that are `wanted`.
    pub fn spread_where(
        &self,
        scenario: Scenario,
        server: &str,
        figure: Figure,
        wanted: impl Fn(&Sample) -> bool,
    ) -> Option<Spread> {
        let samples = self.samples.iter();
        let turns = samples.filter(|sample| sample.scenario == scenario && sample.server == server);
        let figures = turns
            .filter(|sample| wanted(sample))
            .filter_map(|sample| sample.get(figure));
        spread(figures.collect())
    }

    pub fn rounds(&self, scenario: Scenario) -> u32 {
        let samples = self.samples.iter();
        let rounds = samples
            .filter(|sample| sample.scenario == scenario)
            .map(|sample| sample.round);
        rounds.max().unwrap_or_default()
    }
}

pub fn spread(mut values: Vec<f64>) -> Option<Spread> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    let median = if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], upper)
    } else {
        upper
    };
    Some(Spread {
        median,
        least: values[0],
        most: values[values.len() - 1],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[f64], median: f64) {
        assert_eq!(
            spread(values.to_vec()).map(|spread| spread.median),
            Some(median)
        );
    }

    #[test]
    fn the_median_is_in_the_middle() {
        check(&[3.0, 1.0, 2.0], 2.0);
        check(&[4.0, 1.0, 2.0, 3.0], 2.5);
        check(&[7.0], 7.0);
        assert_eq!(spread(Vec::new()), None);
    }
}
