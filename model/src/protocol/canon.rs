//! One representative an orbit: interchangeable users, devices, custodians and key names are put in a fixed order.

use bailee_spec::observation::JobState;
use bailee_spec::scope::Scope;

use super::SmallWorld;
use super::layout::Layout;
use super::publication::{FIRST_EPOCH, NO_EPOCH};
use super::world::{DeviceRecord, Key, LaneState, NO_KEY, UserState, World};

/// A way to exchange the users and devices of a scope: `devices[i]` is the device that takes place `i`.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    users: [u8; 2],
    /// Users have tenants of their own, which go with them.
    tenants: bool,
    devices: [u8; 2],
}

impl Exchange {
    /// Every exchange that the scope's users and devices allow, the identity first. A packed world has room for two of each.
    pub fn all(scope: &Scope) -> Vec<Exchange> {
        let identity = Exchange { users: [0, 1], tenants: scope.tenants > 1, devices: [0, 1] };
        match (scope.users, scope.devices_per_user) {
            (1, 2) => vec![identity, Exchange { devices: [1, 0], ..identity }],
            (2, 1) => vec![identity, Exchange { users: [1, 0], devices: [1, 0], ..identity }],
            _ => vec![identity],
        }
    }

    /// The traits in the order that the exchange gives them.
    #[inline]
    fn order(&self, users: &[u64; 2], devices: &[u64; 2]) -> [u64; 4] {
        let [u, v] = self.users.map(|user| users[user as usize & 1]);
        let [d, e] = self.devices.map(|device| devices[device as usize & 1]);
        [u, v, d, e]
    }

    /// The world after the exchange.
    #[inline]
    pub fn apply(&self, w: &SmallWorld) -> SmallWorld {
        let mut out = *w;
        if self.users[0] != 0 {
            out.users.swap(0, 1);
            if self.tenants {
                out.admin_right.swap(0, 1);
            }
            if w.job.state != JobState::None || w.job.lane.message.is_some() {
                out.job.user = 1 - w.job.user;
            }
        }
        if self.devices[0] != 0 {
            out.devices.swap(0, 1);
        }
        out
    }
}

/// Whether the keys are numbered by first mention.
pub fn keys_in_order<const U: usize, const N: usize>(w: &World<U, N>) -> bool {
    let mut next = NO_KEY;
    let mut in_order = true;
    w.keys(|key| {
        in_order &= key <= next + 1;
        next = next.max(key);
    });
    in_order
}

/// Numbers the keys by first mention.
pub fn rename_keys<const U: usize, const N: usize>(w: &mut World<U, N>) {
    // Few actions make a key or lose one.
    if keys_in_order(w) {
        return;
    }
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

/// Numbers the epochs by rank (OBS-3).
pub fn rename_epochs<const U: usize, const N: usize>(served: &[bool; 3], w: &mut World<U, N>) {
    let mut named = [false; 256];
    w.each_epoch(served, |epoch| named[*epoch as usize] = true);
    let mut rank = [NO_EPOCH; 256];
    let known = named.iter().zip(&mut rank).filter(|(named, _)| **named);
    for ((_, rank), next) in known.zip(FIRST_EPOCH..) {
        *rank = next;
    }
    w.each_epoch(served, |epoch| *epoch = rank[*epoch as usize]);
}

/// Whether the epochs are numbered by rank: every one below the newest is named.
pub fn epochs_in_order<const U: usize, const N: usize>(served: &[bool; 3], w: &World<U, N>) -> bool {
    let mut named = 1u32 << NO_EPOCH;
    let mut w = *w;
    w.each_epoch(served, |epoch| named |= 1u32.checked_shl(u32::from(*epoch)).unwrap_or(0));
    named.trailing_ones() > u32::from(w.newest)
}

/// What an exchange carries along with a user whatever the keys are called.
fn user_trait(u: &UserState) -> u64 {
    u64::from_le_bytes([
        u.standing as u8,
        u.account as u8,
        u.snapshot_account as u8,
        u.archive as u8,
        u.opened_by_root as u8,
        u.stolen as u8,
        u.opened_by_shares as u8,
        u.ending as u8,
    ])
}

/// What it carries along with a device.
fn device_trait(d: &DeviceRecord) -> u64 {
    let message = |lane: &LaneState| lane.message.number();
    u64::from_le_bytes([
        message(&d.lane),
        d.program as u8,
        d.disk as u8,
        d.at_authority as u8,
        d.capability as u8,
        d.attempt as u8,
        message(&d.late),
        d.lane.live as u8
            | (d.attempt_at_keystore as u8) << 1
            | (d.lane.pending as u8) << 3
            | (d.heard as u8) << 4
            | (d.lane.void as u8) << 5,
    ])
}

/// Whether users and devices are in the order of the representative for certain: no other exchange puts their traits in as
/// small an order.
pub fn is_in_least_order(exchanges: &[Exchange], w: &SmallWorld) -> bool {
    let [identity, others @ ..] = exchanges else { return true };
    if others.is_empty() {
        return true;
    }
    let (users, devices) = traits(w);
    let own = identity.order(&users, &devices);
    others.iter().all(|other| own < other.order(&users, &devices))
}

fn traits(w: &SmallWorld) -> ([u64; 2], [u64; 2]) {
    let [u, v] = &w.users;
    let [d, e] = &w.devices;
    ([user_trait(u), user_trait(v)], [device_trait(d), device_trait(e)])
}

/// The representative of the world's orbit.
///
/// Of all exchanges, those that put the traits of users and devices in the least order; of these, the one with the least
/// packed form. Traits do not depend on the names of keys, so most orders are decided without packing anything.
pub fn representative(layout: &Layout, exchanges: &[Exchange], custodians: u8, w: &SmallWorld) -> SmallWorld {
    let mut base = *w;
    let interchangeable = &mut base.custodians[..custodians as usize];
    if !interchangeable.is_sorted() {
        interchangeable.sort_unstable();
    }
    let (users, devices) = traits(&base);
    let orders = exchanges.iter().map(|exchange| exchange.order(&users, &devices));
    let least = orders.min().unwrap_or([0; 4]);
    let renamed = |exchange: &Exchange| {
        let mut candidate = exchange.apply(&base);
        rename_keys(&mut candidate);
        candidate
    };
    let mut tied = exchanges.iter().filter(|exchange| exchange.order(&users, &devices) == least).map(renamed);
    let Some(first) = tied.next() else { return base };
    tied.fold(first, |best, next| if layout.pack(&next) < layout.pack(&best) { next } else { best })
}
