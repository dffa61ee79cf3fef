//! Release of keys under grants (REP).

use std::sync::Arc;

use bailee_spec::limits;
use bailee_spec::observation::AccountState;
use bailee_spec::outcome::Refusal;

use super::{Account, Keyring, Keystore, Pending, RELEASED};
use crate::crypto::{hpke, labels, sign};
use crate::machine::{Done, Peer, Step};
use crate::quirks::Quirk;
use crate::roles::mark::Mark;
use crate::roles::signed::{consumed_body, release_context};
use crate::wire::{B32, Blob, Body, GrantBody, Signed};

impl Keystore {
    fn releasable(&self, step: &mut Step<'_>, keyring: &Keyring, grant: &GrantBody) -> Result<Account, Refusal> {
        let account = self.account(step, keyring, (&grant.tenant, &grant.user)).ok_or(Refusal::NoAccount)?;
        match account.state() {
            AccountState::Active => Ok(account),
            AccountState::Dormant if step.quirks.has(Quirk::DormantReleased) => Ok(account),
            AccountState::None | AccountState::Empty => Err(Refusal::NoAccount),
            AccountState::Lost => Err(Refusal::AccountLost),
            AccountState::Dormant => Err(Refusal::AccountDormant),
            AccountState::Purged => Err(Refusal::AccountPurged),
        }
    }

    /// REP-2.
    pub(super) fn may_release(
        &mut self,
        step: &mut Step<'_>,
        keyring: &Keyring,
        grant: &Blob,
        signature: &Blob,
    ) -> Done {
        if !Mark::of(step).in_lease(step.now) && !step.quirks.has(Quirk::FencedServes) {
            return Err(Refusal::RevocationStale);
        }
        let signed = Signed { body: grant, signature };
        let body: GrantBody =
            signed.open(&self.authority, labels::SIGN_GRANT, Refusal::Malformed, Refusal::GrantInvalid)?;
        if step.now > body.expiry || (step.now == body.expiry && step.quirks.has(Quirk::GrantEndsEarly)) {
            return Err(Refusal::GrantInvalid);
        }
        self.releasable(step, keyring, &body)?;
        let now = step.now;
        if self.memory.pending.len() >= limits::PENDING_RELEASES {
            self.memory.pending.retain(|_, pending| now <= pending.grant.expiry);
        }
        if self.memory.pending.len() >= limits::PENDING_RELEASES {
            return Err(Refusal::Busy);
        }
        let (id, challenge) = (body.id, step.fresh_id());
        self.memory.pending.insert(*id, Pending { grant: Arc::new(body), challenge });
        step.send(Peer::Authority, Body::ConsumeGrant { grant: id, challenge });
        Ok(())
    }

    /// REP-4: everything that REP-2 asked is asked again at the moment at which the key leaves.
    pub(super) fn release(
        &mut self,
        step: &mut Step<'_>,
        keyring: &Keyring,
        id: &B32,
        challenge: &B32,
        epoch: u64,
        signature: &Blob,
    ) -> Done {
        let fits = |pending: &&Pending| {
            let answers = pending.challenge == *challenge || step.quirks.has(Quirk::ChallengeIgnored);
            answers && (step.now <= pending.grant.expiry || step.quirks.has(Quirk::GrantOutlives))
        };
        let pending = self.memory.pending.get(&**id).filter(fits).cloned();
        let grant = pending.ok_or(Refusal::GrantVoid)?.grant;
        if !step.quirks.has(Quirk::ReleaseTwice) {
            self.memory.pending.remove(&**id);
        }
        if !sign::verify(&self.authority, labels::SIGN_CONSUMED, &consumed_body(id, challenge, epoch), signature) {
            return Err(Refusal::GrantInvalid);
        }
        let mark = Mark::of(step);
        if !mark.in_lease(step.now) && !step.quirks.has(Quirk::LeaseNotAskedAgain) {
            return Err(Refusal::RevocationStale);
        }
        if epoch < mark.epoch && !step.quirks.has(Quirk::ConsumedEpochIgnored) {
            return Err(Refusal::GrantVoid);
        }
        let account = self.releasable(step, keyring, &grant)?;
        let commitment = account.commitment.ok_or(Refusal::NoAccount)?;
        let context = release_context(id, &commitment);
        let sealed = hpke::seal_to(&grant.recipient, labels::HPKE_RELEASE, &context, account.key(), step.rng)
            .ok_or(Refusal::GrantInvalid)?;
        let released: u64 = step.get(RELEASED).unwrap_or(0);
        step.put(RELEASED, &(released + 1));
        let (receipt, signature) = self.receipt(step, (&grant.tenant, &grant.user), &account);
        step.send(Peer::Authority, Body::SealedKey { grant: *id, sealed: sealed.into(), receipt, signature });
        Ok(())
    }
}
