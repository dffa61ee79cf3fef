//! Release of keys under grants (REP).

use std::sync::Arc;

use bailee_spec::limits;
use bailee_spec::observation::AccountState;
use bailee_spec::outcome::Refusal;

use super::{Account, Keyring, Keystore, Pending, RELEASED};
use crate::crypto::{hpke, labels, sign};
use crate::machine::{Done, Peer, Step};
use crate::quirks::Quirk;
use crate::roles::mark::{Mark, holds_over};
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

    /// REP-2: a grant that the authority signed, in its time (REP-2a), while there is room for one more that waits (REP-2b).
    pub(super) fn may_release(
        &mut self,
        step: &mut Step<'_>,
        keyring: &Keyring,
        grant: &Blob,
        signature: &Blob,
    ) -> Done {
        self.in_lease(step, Quirk::FencedServes)?;
        let signed = Signed { body: grant, signature };
        let body: GrantBody =
            signed.open(&self.authority, labels::SIGN_GRANT, Refusal::Malformed, Refusal::GrantInvalid)?;
        if holds_over(step, body.expiry, self.margin, Quirk::GrantEndsEarly) {
            return Err(Refusal::GrantInvalid);
        }
        self.releasable(step, keyring, &body)?;
        let margin = self.margin;
        if self.memory.pending.len() >= limits::PENDING_RELEASES {
            self.memory
                .pending
                .retain(|_, pending| !holds_over(step, pending.grant.expiry, margin, Quirk::GrantEndsEarly));
        }
        if self.memory.pending.len() >= limits::PENDING_RELEASES {
            return Err(Refusal::Busy);
        }
        let (id, challenge) = (body.id, step.fresh_id());
        self.memory.pending.insert(*id, Pending { grant: Arc::new(body), challenge });
        step.send(Peer::Authority, Body::ConsumeGrant { grant: id, challenge });
        Ok(())
    }

    /// REP-4: what the authority signed (REP-4a), for this asking (REP-4b). Everything that REP-2 asked is asked again at the
    /// moment at which the key leaves (REP-4c).
    pub(super) fn release(
        &mut self,
        step: &mut Step<'_>,
        keyring: &Keyring,
        id: &B32,
        challenge: &B32,
        epoch: u64,
        signature: &Blob,
    ) -> Done {
        let in_time = |grant: &GrantBody| !holds_over(step, grant.expiry, self.margin, Quirk::GrantEndsEarly);
        let fits = |pending: &&Pending| {
            let answers = pending.challenge == *challenge || step.quirks.has(Quirk::ChallengeIgnored);
            answers && (in_time(&pending.grant) || step.quirks.has(Quirk::GrantOutlives))
        };
        let pending = self.memory.pending.get(&**id).filter(fits).cloned();
        let grant = pending.ok_or(Refusal::GrantVoid)?.grant;
        if !step.quirks.has(Quirk::ReleaseTwice) {
            self.memory.pending.remove(&**id);
        }
        if !sign::verify(&self.authority, labels::SIGN_CONSUMED, &consumed_body(id, challenge, epoch), signature) {
            return Err(Refusal::GrantInvalid);
        }
        self.in_lease(step, Quirk::FencedReleases)?;
        if epoch < Mark::of(step).epoch && !step.quirks.has(Quirk::ConsumedEpochIgnored) {
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
