//! Replacement, grants, and keys that come back, at the authority (REP, DIS-5, DIS-6).

use bailee_spec::observation::Standing;
use bailee_spec::outcome::Refusal;

use super::*;
use crate::cbor;
use crate::crypto::{labels, sign};
use crate::quirks::Quirk;
use crate::roles::signed::{add_proof, consumed_body};
use crate::wire::{Blob, CARRIED_BYTES, Decision, GrantBody};

impl Authority {
    pub(super) fn replace(&self, step: &mut Step<'_>, asked: &Asked<'_>) -> Done {
        match asked.body {
            Body::AddDevice { device, recipient, proof } => self.add(step, asked, device, recipient, proof),
            Body::ConsumeGrant { grant, challenge } => self.consume(step, asked, grant, challenge),
            Body::SealedKey { grant, .. } => {
                self.may_pass(step, asked, grant)?;
                step.send(Peer::Client, delivery(asked.body));
                Ok(())
            }
            Body::KeystoreRefusal { reason } => {
                step.send(Peer::Client, Body::Refusal { reason: *reason });
                Ok(())
            }
            _ => Err(Refusal::Malformed),
        }
    }

    /// REP-1.
    fn add(&self, step: &mut Step<'_>, asked: &Asked<'_>, id: &B32, recipient: &B32, proof: &Blob) -> Done {
        let (session, user) = self.signed_in(step, asked)?;
        self.not_revoked(step, id)?;
        if user.enrolled.is_none() {
            return Err(Refusal::NotEnrolled);
        }
        let session_id = asked.exchange.ok_or(Refusal::SessionStale)?;
        // REP-1a: a device belongs to one user for good, so nobody takes another's record over.
        let known = device(step, id);
        let of_another = known.as_ref().is_some_and(|record| !record.is_of(&session));
        if of_another || !sign::verify(id, labels::SIGN_ADD_DEVICE, &add_proof(&session_id, recipient), proof) {
            return Err(Refusal::BadCertificate);
        }
        if known.is_none() {
            self.room_for_device(step, &session)?;
        }
        let record = DeviceRecord {
            tenant: session.tenant.clone(),
            user: session.user.clone(),
            recipient: *recipient,
            state: DeviceState::Active,
            expiry: u64::MAX,
            revoked_at: 0,
        };
        put_device(step, id, &record);
        self.grant(step, &user, *recipient, GrantHolder::Device(*id), (session_id, session.expiry));
        Ok(())
    }

    /// A grant, remembered as unused, on its way to the keystore. It ends with its exchange.
    pub(super) fn grant(
        &self,
        step: &mut Step<'_>,
        user: &UserRecord,
        recipient: B32,
        holder: GrantHolder,
        (exchange, expiry): (B32, u64),
    ) {
        let id = step.fresh_id();
        let (tenant, name) = (user.tenant.clone(), user.user.clone());
        let epoch = epochs(step).newest;
        let record = GrantRecord { tenant: tenant.clone(), user: name.clone(), holder, exchange, used: false };
        step.put(grant_name(&id), &record);
        Newest::Grants.add(step, (&tenant, &name), &id);
        let grant = cbor::encode(&GrantBody { id, tenant, user: name, recipient, epoch, expiry });
        let signature = self.key.sign(labels::SIGN_GRANT, &grant);
        step.send(Peer::Keystore(0), Body::ReleaseKey { grant: grant.into(), signature: signature.into() });
    }

    /// REP-3, REP-3a: an unused grant of this exchange, of a device that is active and of a session in its time.
    fn consume(&self, step: &mut Step<'_>, asked: &Asked<'_>, id: &B32, challenge: &B32) -> Done {
        let grant: GrantRecord = step.get(grant_name(id)).ok_or(Refusal::GrantVoid)?;
        let active = match &grant.holder {
            GrantHolder::Device(id) => device(step, id).is_some_and(|record| record.state == DeviceState::Active),
            GrantHolder::Job(_) => false,
        };
        let session = session(step, &grant.exchange);
        let live =
            session.is_some_and(|session| session.is_live(step.now)) || step.quirks.has(Quirk::SessionNotChecked);
        let own = Some(grant.exchange) == asked.exchange || step.quirks.has(Quirk::GrantInAnyExchange);
        let used = grant.used && !step.quirks.has(Quirk::GrantUsedTwice);
        if (used || !active || !live || !own) && !step.quirks.has(Quirk::RevokedConsumes) {
            return Err(Refusal::GrantVoid);
        }
        let user = user(step, &grant.tenant, &grant.user).ok_or(Refusal::GrantVoid)?;
        user.in_good_standing()?;
        self.consumed(step, id, challenge, grant);
        Ok(())
    }

    /// The log records the release, then the keystore hears of it.
    pub(super) fn consumed(&self, step: &mut Step<'_>, id: &B32, challenge: &B32, mut grant: GrantRecord) {
        grant.used = true;
        step.put(grant_name(id), &grant);
        let released: u64 = step.get(RELEASED).unwrap_or(0);
        step.put(RELEASED, &(released + 1));
        let epoch = epochs(step).newest;
        let signature = self.key.sign(labels::SIGN_CONSUMED, &consumed_body(id, challenge, epoch)).into();
        let body = Body::GrantConsumed { grant: *id, challenge: *challenge, epoch, signature };
        step.send(Peer::Keystore(0), body);
    }

    /// REP-6, REP-6a: a grant of a device that is still active.
    fn may_pass(&self, step: &mut Step<'_>, asked: &Asked<'_>, id: &B32) -> Done {
        self.of_generation(step, asked.generation)?;
        let grant: GrantRecord = step.get(grant_name(id)).ok_or(Refusal::GrantVoid)?;
        let GrantHolder::Device(id) = &grant.holder else { return Err(Refusal::GrantVoid) };
        let active = device(step, id).is_some_and(|record| record.state == DeviceState::Active);
        if !active && !step.quirks.has(Quirk::RevokedIsServed) {
            return Err(Refusal::DeviceRevoked);
        }
        let user = user(step, &grant.tenant, &grant.user).ok_or(Refusal::GrantVoid)?;
        user.in_good_standing()
    }

    // Keys that come back.

    /// DIS-6: the keystore's intake key, signed for the device's nonce.
    pub(super) fn ask_intake(&self, step: &mut Step<'_>, from: &Peer, nonce: &B32) -> Done {
        self.serves(step, from)?;
        step.send(Peer::Keystore(0), Body::OfferIntake { nonce: *nonce });
        Ok(())
    }

    /// DIS-6. No signature is asked for: the commitment that the log names says which key may come (DIS-6a).
    pub(super) fn re_escrow(&self, step: &mut Step<'_>, from: &Peer, escrow: &Blob) -> Done {
        let (_, user) = self.serves(step, from)?;
        if escrow.len() > CARRIED_BYTES {
            return Err(Refusal::Malformed);
        }
        let logged = user.enrolled.unwrap_or(B32::from([0; 32]));
        self.return_key(step, &user, escrow, logged);
        Ok(())
    }

    /// DIS-5, by those who may, for a user who exists and whose key is kept (DIS-5a).
    pub(super) fn replay(&self, step: &mut Step<'_>, from: &Peer, tenant: &str, name: &str) -> Done {
        if rights_over(step, from, tenant)?.is_some_and(|rights| !rights.users) {
            return Err(Refusal::NoAdminRight);
        }
        let record = user(step, tenant, name).ok_or(Refusal::BadCredential)?;
        let store = store(step);
        let kept = record.kept.as_ref().filter(|kept| !store.covers(kept.index)).ok_or(Refusal::NothingKept)?;
        let logged = record.enrolled.ok_or(Refusal::NothingKept)?;
        self.return_key(step, &record, &kept.escrow, logged);
        Ok(())
    }

    fn return_key(&self, step: &mut Step<'_>, user: &UserRecord, escrow: &Blob, logged: B32) {
        let dormant = user.standing() == Standing::Deactivated;
        let (tenant, name) = (user.tenant.clone(), user.user.clone());
        let epoch = epochs(step).newest;
        let body = Body::ReturnKey { tenant, user: name, dormant, logged, escrow: escrow.clone(), epoch };
        step.send(Peer::Keystore(0), body);
    }

    /// DIS-5, DIS-6: the key is in the store again, so the next snapshot that hears of this entry covers it.
    pub(super) fn key_returned(&self, step: &mut Step<'_>, tenant: &str, name: &str, commitment: &B32) -> Done {
        // DIS-5b.
        let mut record = user(step, tenant, name).ok_or(Refusal::ReceiptInvalid)?;
        let lost = store(step).lost;
        let was_lost = |kept: &Kept| lost.iter().any(|(first, last)| (*first..=*last).contains(&kept.index));
        if record.enrolled == Some(*commitment)
            && let Some(kept) = record.kept.take_if(|kept| was_lost(kept))
        {
            let index = log(step, tenant, name, Decision::Enrolled(*commitment));
            step.remove(kept_name(kept.index));
            step.put(kept_name(index), &(tenant.to_string(), name.to_string()));
            record.kept = Some(Kept { index, ..kept });
            step.put(user_name(tenant, name), &record);
        }
        step.send(Peer::Client, Body::Done);
        Ok(())
    }
}

/// A released key on its way on.
pub(super) fn delivery(body: &Body) -> Body {
    match body.clone() {
        Body::SealedKey { grant, sealed, receipt, signature } => {
            Body::KeyDelivery { grant, sealed, receipt, signature }
        }
        other => other,
    }
}
