//! One representative an orbit: interchangeable users, devices, custodians and key names are put in a fixed order.

use bailee_spec::scope::Scope;

use super::layout::Layout;
use super::SmallWorld;
use super::world::{Key, NO_KEY, World};

/// Every way to exchange the users and devices of a scope: `devices[i]` is the device that takes place `i`.
#[derive(Clone, Debug)]
pub struct Exchange {
    users: Vec<u8>,
    devices: Vec<u8>,
}

/// All permutations of `0..n`, the identity first.
fn permutations(n: u8) -> Vec<Vec<u8>> {
    if n == 0 {
        return vec![vec![]];
    }
    let mut all: Vec<Vec<u8>> = permutations(n - 1)
        .into_iter()
        .flat_map(|shorter| {
            (0..n).map(move |at| {
                let mut longer = shorter.clone();
                longer.insert(at as usize, n - 1);
                longer
            })
        })
        .collect();
    all.sort();
    all
}

impl Exchange {
    /// Every exchange that the scope's users and devices allow, the identity first.
    pub fn all(scope: &Scope) -> Vec<Exchange> {
        let per_user = scope.devices_per_user;
        let inner = permutations(per_user);
        let mut all = Vec::new();
        for users in permutations(scope.users) {
            let mut partial: Vec<Vec<u8>> = vec![vec![]];
            for &user in &users {
                partial = partial
                    .into_iter()
                    .flat_map(|done| {
                        inner.iter().map(move |order| {
                            let own = order.iter().map(|&d| user * per_user + d);
                            done.iter().copied().chain(own).collect()
                        })
                    })
                    .collect();
            }
            all.extend(partial.into_iter().map(|devices| Exchange { users: users.clone(), devices }));
        }
        all
    }

    /// The world after the exchange.
    pub fn apply<const U: usize, const N: usize>(&self, w: &World<U, N>) -> World<U, N> {
        let mut out = *w;
        for (place, &user) in self.users.iter().enumerate() {
            out.users[place] = w.users[user as usize];
        }
        for (place, &device) in self.devices.iter().enumerate() {
            out.devices[place] = w.devices[device as usize];
        }
        let at = |user: u8| self.users.iter().position(|&u| u == user).map_or(user, |place| place as u8);
        if w.job.state != bailee_spec::observation::JobState::None || w.job.lane.message.is_some() {
            out.job.user = at(w.job.user);
        }
        out
    }
}

/// Numbers the keys by first mention.
pub fn rename_keys<const U: usize, const N: usize>(w: &mut World<U, N>) {
    let mut names: [Key; 256] = [NO_KEY; 256];
    let mut next = NO_KEY;
    w.each_key(|key| {
        if *key != NO_KEY {
            let name = &mut names[*key as usize];
            if *name == NO_KEY {
                next += 1;
                *name = next;
            }
            *key = *name;
        }
    });
}

/// The representative of the world's orbit, and its packed form.
pub fn representative(
    layout: &Layout,
    exchanges: &[Exchange],
    custodians: u8,
    w: &SmallWorld,
) -> (u128, SmallWorld) {
    let mut best = *w;
    let interchangeable = &mut best.custodians[..custodians as usize];
    if !interchangeable.is_sorted() {
        interchangeable.sort_unstable();
    }
    let base = best;
    rename_keys(&mut best);
    let mut least = layout.pack(&best);
    // The first exchange is the identity.
    for exchange in exchanges.iter().skip(1) {
        let mut candidate = exchange.apply(&base);
        rename_keys(&mut candidate);
        let packed = layout.pack(&candidate);
        if packed < least {
            (least, best) = (packed, candidate);
        }
    }
    (least, best)
}
