//! Roles that real things have happened to, and arbitrary bytes.

use bailee_core::cbor;
use bailee_core::roles::Effects;
use bailee_core::roles::keystore::{Announced, NewShare, Snapshot};
use bailee_core::wire::{B32, Frame, Header};
use bailee_spec::limits::MESSAGE_BYTES;
use bailee_spec::outcome::Refusal;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::wire::assert_named;
use super::{front, piece};
use crate::law;
use crate::stage::{self, Moment, Role};

/// The moment that a byte names.
fn moment(choice: u8) -> Moment {
    let moments = &stage::STAGE.moments;
    moments[usize::from(choice) % moments.len()].clone()
}

/// A moment (one byte), a role (one byte), and a frame that is delivered to it: the verdict has a name, and what is sent in
/// answer is a frame again.
pub fn deliver(mut data: &[u8]) {
    let [at, to] = front(&mut data);
    let Some(frame) = law::cbor::<Frame>(data, MESSAGE_BYTES) else { return };
    let to = Role::ALL[usize::from(to) % Role::ALL.len()];
    let effects = moment(at).deliver(to, &frame, &mut ChaCha8Rng::seed_from_u64(1));
    judge(effects);
}

fn judge(effects: Effects) {
    if let Err(refusal) = effects.verdict {
        assert_named(refusal);
    }
    if let Some(body) = effects.send {
        let answer = Frame { exchange: effects.opens, generation: None, body };
        assert_eq!(cbor::decode::<Frame>(&cbor::encode(&answer), usize::MAX), Ok(answer));
    }
}

/// How many things [`hand_over`] can do.
pub const WAYS: u8 = 8;

/// A moment (one byte), a way (one byte), and pieces that are handed over outside the network's frames: announced ceremonies,
/// wrapped, new and submitted shares, blocks, orders, snapshots, escrow messages. Whatever is refused is refused by a name.
pub fn hand_over(mut data: &[u8]) {
    let [at, way] = front(&mut data);
    let mut now = moment(at);
    let verdict = hand(&mut now, way % WAYS, data);
    if let Err(refusal) = verdict {
        assert_named(refusal);
    }
}

fn hand(now: &mut Moment, way: u8, mut data: &[u8]) -> Result<(), Refusal> {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut cx = stage::context(&mut rng);
    let (one, two, three) = (piece(&mut data), piece(&mut data), piece(&mut data));
    let announced = || Announced { body: two.to_vec(), signature: three.to_vec() };
    match way {
        0 => now.custody.announce(&cx, &announced()).map(drop),
        1 => now.custodians[0].receive(one, &announced()),
        2 => {
            let complete = now.keystore.submit(&cx, 0, &one.to_vec().into(), &two.to_vec().into())?;
            let (epoch, log) = (now.authority.totals().epoch, now.authority.log());
            if complete { now.keystore.complete_unseal(&mut cx, 0, epoch, &log).map(drop) } else { Ok(()) }
        }
        3 => now.storage.append(&cx, one, two, three).map(drop),
        4 => now.devices[0].obey(one).map(drop).ok_or(Refusal::BadSignature),
        5 => now.keystore.stage(&cx, Some(one), Some(Snapshot::digest(one))).map(drop),
        6 => {
            let header: Header = cbor::decode(two, MESSAGE_BYTES).map_err(|_| Refusal::Malformed)?;
            let new = NewShare { index: 1, sealed: one.to_vec(), header };
            now.custodians[0].acknowledge(&new).map(drop)
        }
        _ => {
            let log = now.authority.log();
            let entry = log.first().ok_or(Refusal::NoAccount)?;
            let logged = B32::from(front(&mut &*two));
            now.keystore.take_back(&mut cx, entry, one, logged).map(drop)
        }
    }
}
