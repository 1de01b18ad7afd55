//! The few figures that a handful of trials supports: the values themselves, their median and nearest-rank percentiles.

/// The value below or at which `percent` of `values` lie (nearest rank); NaN if there are none.
#[must_use]
pub fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// The middle value, or the mean of the two in the middle; NaN if there are none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.len() % 2, sorted.get(middle)) {
        (_, None) => f64::NAN,
        (0, Some(upper)) => f64::midpoint(sorted[middle - 1], *upper),
        (_, Some(value)) => *value,
    }
}

/// A share of a period for each trial, from 0 to 1: what is done after it is not in step with anything periodic. Multiples of
/// the golden ratio spread them evenly, the same in each run.
#[must_use]
pub fn phase(trial: usize) -> f64 {
    ((trial + 1) as f64 * 0.618_034).fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn phases_lie_apart_from_one_another() {
        let mut phases: Vec<f64> = (0..5).map(phase).collect();
        phases.sort_by(f64::total_cmp);
        assert!(phases[0] > 0.0 && phases[4] < 1.0);
        assert!(phases.windows(2).all(|pair| pair[1] - pair[0] > 0.1), "{phases:?}");
    }

    #[test]
    fn a_percentile_of_few_values_is_one_of_them() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(percentile(&values, 95.0), 5.0);
        assert_eq!(percentile(&values, 40.0), 2.0);
        assert_eq!(percentile(&values, 0.0), 1.0);
        assert!(percentile(&[], 50.0).is_nan());
    }
}
