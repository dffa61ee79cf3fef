//! What travels: frames, and the bodies that somebody signs.

use bailee_core::crypto::sharing::{self, SharingError};
use bailee_core::machine::refusal_code;
use bailee_core::wire::{
    AdmissionBody, Body, CapabilityBody, CeremonyBody, Certificate, EscrowBody, Frame, GrantBody, Header,
    ReceiptBody, ShareBody,
};
use bailee_spec::limits::MESSAGE_BYTES;
use bailee_spec::outcome::Refusal;

use crate::law;

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident = $body:ty;)*) => {
        $($(#[$doc])* pub fn $name(data: &[u8]) {
            law::cbor::<$body>(data, MESSAGE_BYTES);
        })*
    };
}

bodies! {
    /// [`Certificate`].
    certificate = Certificate;
    /// [`AdmissionBody`].
    admission = AdmissionBody;
    /// [`EscrowBody`].
    escrow = EscrowBody;
    /// [`ReceiptBody`].
    receipt = ReceiptBody;
    /// [`GrantBody`].
    grant = GrantBody;
    /// [`CapabilityBody`].
    capability = CapabilityBody;
    /// [`CeremonyBody`].
    ceremony = CeremonyBody;
    /// [`ShareBody`].
    share = ShareBody;
}

/// [`Frame`]: and every frame has a kind, which somebody may send.
pub fn frame(data: &[u8]) {
    if let Some(frame) = law::cbor::<Frame>(data, MESSAGE_BYTES) {
        let (number, name, senders, places) = Body::TABLE[usize::from(frame.body.number())];
        assert!(number == frame.body.number() && name == frame.body.name());
        assert!(!senders.is_empty() && !places.is_empty());
    }
}

/// [`Header`]: and whatever its commitments and threshold are, a share is checked against them and refused by a name.
pub fn header(data: &[u8]) {
    let Some(header) = law::cbor::<Header>(data, MESSAGE_BYTES) else { return };
    let commitments = header.commitments.iter().map(|point| **point).collect();
    let error = sharing::verify(1, &[1; 32], &commitments, header.threshold).err();
    assert!(
        matches!(error, Some(SharingError::BadCommitments | SharingError::WrongShare)),
        "a share of nobody's matched: {error:?}"
    );
}

/// Every refusal that a role gives has a number on the wire.
pub(crate) fn assert_named(refusal: Refusal) {
    assert!(usize::from(refusal_code(refusal)) < Refusal::ALL.len(), "{refusal:?} has no number");
}
