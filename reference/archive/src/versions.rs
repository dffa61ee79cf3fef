//! The order of versions. A wrong clock does not change it.
//!
//! The versions of one device are in the order of their numbers: that is the order in which they were written. Chains are merged
//! by time, where a version counts as made no later than any later version of its own chain. So a clock that was ahead once does
//! not keep its version the latest for ever. Of versions that count as made at the same time, the device decides, then the number.

use crate::archive::Version;
use crate::id::DeviceId;
use crate::tree::Time;

/// What decides the place of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    device: DeviceId,
    seq: u64,
    time: Time,
}

/// Sorts versions, the oldest first; the last is the latest. Two of one device and number keep their order.
pub(crate) fn sort(versions: &mut Vec<Version>) {
    sort_by_place(versions, |version| Place { device: version.device, seq: version.seq, time: version.root.time });
}

fn sort_by_place<T>(versions: &mut Vec<T>, place: impl Fn(&T) -> Place) {
    versions.sort_by_key(|version| (place(version).device, place(version).seq));
    let times = made_no_later(&versions.iter().map(place).collect::<Vec<_>>());
    let mut timed: Vec<(Time, T)> = times.into_iter().zip(versions.drain(..)).collect();
    // The sort is stable: where times are equal, device and number decide.
    timed.sort_by_key(|(time, _)| *time);
    versions.extend(timed.into_iter().map(|(_, version)| version));
}

/// For places chain by chain: the time that each counts as made at, the earliest of its own and of those after it in its chain.
fn made_no_later(places: &[Place]) -> Vec<Time> {
    let mut times: Vec<Time> = places.iter().map(|place| place.time).collect();
    for at in (1..places.len()).rev() {
        if places[at - 1].device == places[at].device {
            times[at - 1] = times[at - 1].min(times[at]);
        }
    }
    times
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    const FAR_AHEAD: i64 = 4_070_908_800;

    fn place((device, seq, seconds): (u8, u64, i64)) -> Place {
        Place { device: DeviceId([device; 32]), seq, time: Time { seconds, nanoseconds: 0 } }
    }

    /// Devices and numbers in their order.
    fn sorted(versions: &[(u8, u64, i64)]) -> Vec<(u8, u64)> {
        let mut versions = versions.to_vec();
        sort_by_place(&mut versions, |version| place(*version));
        versions.into_iter().map(|(device, seq, _)| (device, seq)).collect()
    }

    #[test]
    fn chains_with_right_clocks_are_merged_by_time() {
        assert_eq!(sorted(&[(1, 1, 10), (1, 2, 30), (2, 1, 20), (2, 2, 40)]), [(1, 1), (2, 1), (1, 2), (2, 2)]);
        assert_eq!(sorted(&[(2, 1, 10), (1, 1, 10), (1, 2, 10)]), [(1, 1), (1, 2), (2, 1)], "ties: device, number");
        assert_eq!(sorted(&[]), []);
    }

    #[test]
    fn a_clock_that_was_ahead_does_not_make_a_version_the_latest() {
        assert_eq!(
            sorted(&[(1, 1, FAR_AHEAD), (1, 2, 20), (2, 1, 10), (2, 2, 30)]),
            [(2, 1), (1, 1), (1, 2), (2, 2)]
        );
        assert_eq!(sorted(&[(1, 1, 10), (1, 2, 0), (1, 3, 20)]), [(1, 1), (1, 2), (1, 3)], "and one that was behind");
    }

    /// Until the next version of its chain there is nothing that shows that a clock was wrong.
    #[test]
    fn the_last_of_a_chain_counts_with_its_own_time() {
        assert_eq!(sorted(&[(1, 1, FAR_AHEAD), (2, 1, 10)]), [(2, 1), (1, 1)]);
    }

    /// Versions of up to three devices, each number once, with any clocks.
    fn versions() -> impl Strategy<Value = Vec<(u8, u64, i64)>> {
        let time = prop_oneof![4 => 0..20i64, 1 => Just(FAR_AHEAD), 1 => any::<i64>()];
        proptest::collection::btree_map((0u8..3, 1u64..8), time, 0..20)
            .prop_map(|versions| versions.into_iter().map(|((device, seq), time)| (device, seq, time)).collect())
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_each_chain_and_does_not_depend_on_how_versions_are_found(
            (found, shuffled) in versions().prop_flat_map(|found| (Just(found.clone()), Just(found).prop_shuffle())),
        ) {
            let order = sorted(&shuffled);
            prop_assert_eq!(&order, &sorted(&found), "one order");
            let all: BTreeSet<_> = found.iter().map(|(device, seq, _)| (*device, *seq)).collect();
            prop_assert_eq!(all, order.iter().copied().collect(), "none is lost");
            let mut last = BTreeMap::new();
            for (device, seq) in order {
                let before = last.insert(device, seq);
                prop_assert!(before.is_none_or(|before| before < seq), "{} before {} of {}", seq, before.unwrap_or(0), device);
            }
        }

        /// Where no clock was ever set back, nothing but time decides.
        #[test]
        fn right_clocks_give_the_order_of_time(times in proptest::collection::btree_set(0..1000i64, 0..20), split in any::<u32>()) {
            let mut numbers = [0u64; 2];
            let versions: Vec<_> = times.iter().enumerate().map(|(at, time)| {
                let device = usize::from(split >> at & 1 == 1);
                numbers[device] += 1;
                (device as u8, numbers[device], *time)
            }).collect();
            let expected: Vec<_> = versions.iter().map(|(device, seq, _)| (*device, *seq)).collect();
            prop_assert_eq!(sorted(&versions), expected);
        }
    }
}
