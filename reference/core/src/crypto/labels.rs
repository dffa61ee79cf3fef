//! The one table of domain-separation labels (GEN-31; `spec/protocol.md` §4).

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident = $label:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = concat!("bailee/v1/", $label);)*

        /// Every label.
        pub const ALL: &[&str] = &[$($name,)*];
    };
}

labels! {
    /// Key tree: chunk ids.
    KEY_ID = "key/id";
    /// Key tree: chunk boundaries.
    KEY_CHUNK = "key/chunk";
    /// Key tree: sealing blocks.
    KEY_SEAL = "key/seal";
    /// Key tree: sealing manifests.
    KEY_MANIFEST = "key/manifest";
    /// Key tree: the commitment.
    KEY_COMMIT = "key/commit";
    /// Key tree: the link to the former key epoch.
    KEY_PREV = "key/prev";
    /// Key tree: seed of slots.
    KEY_SLOT_SEED = "key/slot-seed";
    /// Key tree: seed of the signing key of an archive that stands alone.
    KEY_STANDALONE_DEVICE = "key/standalone-device";
    /// Seal: a block of an archive.
    SEAL_BLOCK = "seal/block";
    /// Seal: a manifest of an archive.
    SEAL_MANIFEST = "seal/manifest";
    /// Seal: the root, under the unseal key.
    SEAL_ROOT = "seal/root";
    /// Seal: the keyring, under the root.
    SEAL_KEYRING = "seal/keyring";
    /// Seal: a record of the keystore.
    SEAL_RECORD = "seal/record";
    /// The unseal key from the shared scalar.
    UNSEAL = "unseal";
    /// The name of a record in the keystore's store.
    STORE_KEY = "store-key";
    /// The place where wrong passwords for a name that nobody has are counted.
    GUESS_PLACE = "guess-place";
    /// The key of a snapshot's code.
    SNAPSHOT_MAC = "snapshot-mac";
    /// HPKE: a key on its way into the keystore.
    HPKE_INTAKE = "hpke/intake";
    /// HPKE: a key on its way to a device or a job.
    HPKE_RELEASE = "hpke/release";
    /// HPKE: a share on its way to a node.
    HPKE_SHARE = "hpke/share";
    /// HPKE: a share at rest in custody, or a new share on its way to its custodian.
    HPKE_WRAP = "hpke/wrap";
    /// HPKE: a new root on its way to another node.
    HPKE_ROOT = "hpke/root";
    /// Signature of a device: enrolment certificate.
    SIGN_CERTIFICATE = "sign/enrolment-certificate";
    /// Signature of a device: an attempt to enrol.
    SIGN_ATTEMPT = "sign/attempt";
    /// Signature of a device: a device to be added.
    SIGN_ADD_DEVICE = "sign/add-device";
    /// Signature of a device: escrow message.
    SIGN_ESCROW = "sign/escrow";
    /// Signature of the authority: admission.
    SIGN_ADMISSION = "sign/admission";
    /// Signature of the keystore: receipt.
    SIGN_RECEIPT = "sign/receipt";
    /// Signature of the keystore: intake key.
    SIGN_INTAKE = "sign/intake";
    /// Signature of the authority: grant.
    SIGN_GRANT = "sign/grant";
    /// Signature of the authority: a consumed grant.
    SIGN_CONSUMED = "sign/consumed";
    /// Signature of the authority: capability.
    SIGN_CAPABILITY = "sign/capability";
    /// Signature of the authority: an order to erase.
    SIGN_WIPE = "sign/wipe";
    /// Signature of the restorer: job key.
    SIGN_JOB_KEY = "sign/job-key";
    /// Signature of a node: ceremony.
    SIGN_CEREMONY = "sign/ceremony";
    /// Signature of a custodian: submitted share.
    SIGN_SHARE = "sign/share";
    /// Signature of a custodian: acknowledged new share.
    SIGN_ACK = "sign/ack";
    /// Signature of a person's authenticator.
    SIGN_MFA = "sign/mfa";
    /// Signature of a device: manifest.
    SIGN_MANIFEST = "sign/manifest";
    /// Signature of a device: retention record.
    SIGN_RETENTION = "sign/retention";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    /// GEN-31.
    #[test]
    fn no_label_begins_another() {
        for (i, a) in ALL.iter().enumerate() {
            for (j, b) in ALL.iter().enumerate() {
                assert!(i == j || !b.starts_with(a), "{a} begins {b}");
            }
        }
    }
}
