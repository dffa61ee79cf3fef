//! Which versions a retention policy keeps: a pure function of their order and their times.
//!
//! Every rule goes from the newest version to the oldest, in the order of the archive. A *daily* rule of N keeps the first version
//! that it meets of each of the first N days that it meets; *weekly* and *monthly* likewise, weeks by ISO 8601, all in UTC. A
//! time only names the period: a clock that was wrong does not make a version older or newer. A version that any rule keeps is
//! kept.

use std::collections::BTreeSet;

use bailee_archive::tree::Time;

use super::when;

/// How many to keep by each rule; 0 keeps none by that rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    /// The newest versions.
    pub(crate) last: usize,
    /// One a day.
    pub(crate) daily: usize,
    /// One a week.
    pub(crate) weekly: usize,
    /// One a month.
    pub(crate) monthly: usize,
}

/// A rule that keeps a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Last,
    Daily,
    Weekly,
    Monthly,
}

impl Rule {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Rule::Last => "last",
            Rule::Daily => "daily",
            Rule::Weekly => "weekly",
            Rule::Monthly => "monthly",
        }
    }
}

impl Policy {
    /// A policy without a rule keeps nothing.
    pub(crate) fn is_empty(self) -> bool {
        self == Policy::default()
    }

    /// For each version, given oldest first, the rules that keep it. None: it may be forgotten.
    pub(crate) fn kept(self, times: &[Time]) -> Vec<Vec<Rule>> {
        let mut kept = vec![Vec::new(); times.len()];
        for at in (0..times.len()).rev().take(self.last) {
            kept[at].push(Rule::Last);
        }
        let day = |time: Time| when::day(time).map(|day| (i64::from(day.year()), i64::from(day.day_of_year())));
        let week = |time: Time| {
            when::day(time).map(|day| day.iso_week_date()).map(|w| (i64::from(w.year()), i64::from(w.week())))
        };
        let month = |time: Time| when::day(time).map(|day| (i64::from(day.year()), i64::from(day.month())));
        newest_of_each(times, self.daily, day).for_each(|at| kept[at].push(Rule::Daily));
        newest_of_each(times, self.weekly, week).for_each(|at| kept[at].push(Rule::Weekly));
        newest_of_each(times, self.monthly, month).for_each(|at| kept[at].push(Rule::Monthly));
        kept
    }
}

/// The newest version of each of the newest `count` periods, newest first. A time that no calendar has is a period of its own,
/// which does not count: what cannot be understood is not thrown away.
fn newest_of_each(
    times: &[Time],
    count: usize,
    period: impl Fn(Time) -> Option<(i64, i64)>,
) -> impl Iterator<Item = usize> {
    let mut seen = BTreeSet::new();
    let keeps = move |at: &usize| match period(times[*at]) {
        None => count > 0,
        Some(period) => seen.len() < count && seen.insert(period),
    };
    (0..times.len()).rev().filter(keeps)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;
    /// Monday, 2024-01-01, 12:00 UTC.
    const MONDAY: i64 = 1_704_110_400;

    fn times(seconds: &[i64]) -> Vec<Time> {
        seconds.iter().map(|seconds| Time { seconds: *seconds, nanoseconds: 0 }).collect()
    }

    fn kept(policy: Policy, seconds: &[i64]) -> Vec<usize> {
        let kept = policy.kept(&times(seconds));
        (0..kept.len()).filter(|at| !kept[*at].is_empty()).collect()
    }

    #[test]
    fn the_last_are_the_newest_by_order() {
        let policy = Policy { last: 2, ..Policy::default() };
        assert_eq!(kept(policy, &[1, 2, 3]), [1, 2]);
        assert_eq!(kept(policy, &[1]), [0]);
        assert_eq!(kept(policy, &[]), [0; 0]);
        assert_eq!(kept(Policy { last: usize::MAX, ..policy }, &[3, 2, 1]), [0, 1, 2]);
    }

    #[test]
    fn one_a_day_is_the_newest_of_the_day_and_empty_days_do_not_count() {
        let policy = Policy { daily: 2, ..Policy::default() };
        let seconds = [MONDAY - 9 * DAY, MONDAY - 5 * DAY, MONDAY - 5 * DAY + HOUR, MONDAY, MONDAY + 11 * HOUR];
        assert_eq!(kept(policy, &seconds), [2, 4]);
        assert_eq!(
            kept(policy, &[MONDAY, MONDAY + 12 * HOUR - 1, MONDAY + 12 * HOUR]),
            [1, 2],
            "midnight is a border"
        );
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        let weekly = Policy { weekly: 1, ..Policy::default() };
        let (sunday, monday) = (MONDAY - DAY, MONDAY);
        assert_eq!(kept(weekly, &[sunday, monday]), [1]);
        assert_eq!(kept(Policy { weekly: 2, ..weekly }, &[sunday, monday, monday + 6 * DAY]), [0, 2]);
        let monthly = Policy { monthly: 2, ..Policy::default() };
        assert_eq!(kept(monthly, &[sunday - 31 * DAY, sunday, monday, monday + 30 * DAY, monday + 31 * DAY]), [3, 4]);
    }

    /// 2024-12-30 is in the first week of 2025.
    #[test]
    fn a_week_across_new_year_is_one_week() {
        let end_of_year = MONDAY + 364 * DAY;
        let policy = Policy { weekly: 9, ..Policy::default() };
        assert_eq!(kept(policy, &[end_of_year, end_of_year + 2 * DAY]), [1]);
    }

    #[test]
    fn rules_add_up_and_say_why() {
        let policy = Policy { last: 1, daily: 2, weekly: 0, monthly: 1 };
        let why = policy.kept(&times(&[MONDAY - 40 * DAY, MONDAY - DAY, MONDAY, MONDAY + 1]));
        assert_eq!(why, [vec![], vec![Rule::Daily], vec![], vec![Rule::Last, Rule::Daily, Rule::Monthly]]);
        assert!(Policy::default().is_empty() && !policy.is_empty());
        assert!(Policy::default().kept(&times(&[1, 2])).iter().all(Vec::is_empty));
    }

    /// The order of writing decides which version is the newest; the time only names its day.
    #[test]
    fn a_clock_that_was_wrong_costs_no_newer_version() {
        let daily = Policy { daily: 2, ..Policy::default() };
        assert_eq!(kept(daily, &[MONDAY + DAY, MONDAY, MONDAY - DAY]), [1, 2], "it was set back");
        let (far_ahead, last) = (MONDAY + 20_000 * DAY, Policy { last: 1, ..Policy::default() });
        assert_eq!(kept(daily, &[far_ahead, MONDAY, MONDAY + HOUR]), [0, 2], "it was ahead once");
        assert_eq!(kept(Policy { daily: 1, ..daily }, &[far_ahead, MONDAY]), [1]);
        assert_eq!(kept(last, &[far_ahead, MONDAY]), [1]);
    }

    /// A day that comes back, as with a clock that was wrong in between, is still one day.
    #[test]
    fn a_day_that_was_seen_is_not_counted_again() {
        let policy = Policy { daily: 2, ..Policy::default() };
        let seconds = [MONDAY - DAY, MONDAY, MONDAY + 20_000 * DAY, MONDAY + HOUR];
        assert_eq!(kept(policy, &seconds), [2, 3]);
        assert_eq!(kept(Policy { daily: 3, ..policy }, &seconds), [0, 2, 3]);
    }

    #[test]
    fn what_no_calendar_has_is_kept() {
        let policy = Policy { daily: 1, ..Policy::default() };
        assert_eq!(kept(policy, &[i64::MAX, MONDAY - DAY, i64::MIN, MONDAY]), [0, 2, 3]);
        assert_eq!(kept(Policy { last: 1, ..Policy::default() }, &[i64::MAX, MONDAY]), [1], "by no rule of periods");
    }
}
