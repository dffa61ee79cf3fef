//! What breaks it: fuzz targets.
//!
//! A target is a plain function of bytes that panics when a law is broken: no panic on any byte, whatever is accepted encodes
//! to the same bytes again, whatever is refused is refused by a name, and model and reference agree. The same functions
//! serve libFuzzer (`fuzz_targets/`, feature `engine`) and the replay of the committed corpora (`cargo test`).

pub mod law;
pub mod seeds;
pub mod stage;
pub mod targets;

use targets::{archive, crypto, lockstep, restore, roles, stored, text, wire};

/// A fuzz target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: of the binary, of the file in `fuzz_targets/`, and of the folder in `corpus/`.
    pub name: &'static str,
    /// What the bytes are.
    pub about: &'static str,
    /// The path of `run` below `targets`.
    pub path: &'static str,
    /// Takes one input; panics when a law is broken.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident = $run:path: $about:literal;)*) => {
        /// Every target.
        pub const TARGETS: &[Target] = &[
            $(Target { name: stringify!($name), about: $about, path: stringify!($run), run: $run },)*
        ];
    };
}

targets! {
    frame = wire::frame: "a message between roles";
    certificate = wire::certificate: "a device's enrolment certificate";
    admission = wire::admission: "the authority's admission of an attempt";
    escrow = wire::escrow: "a key on its way into the keystore";
    receipt = wire::receipt: "the keystore's receipt";
    grant = wire::grant: "a permission to release";
    capability = wire::capability: "leave to append";
    ceremony = wire::ceremony: "an announced ceremony";
    share = wire::share: "a submitted share";
    header = wire::header: "a seal header, and a share checked against it";
    record = stored::record: "a kind, and a stored record of that kind";
    snapshot = stored::snapshot: "a snapshot of the keystore";
    device_disk = stored::device_disk: "the records of a device";
    keyring = stored::keyring: "a sealed keyring";
    seal = crypto::seal: "a sealed form; and a message to seal and to alter";
    hpke = crypto::hpke: "an HPKE ciphertext; and a message to seal and to alter";
    signature = crypto::signature: "public key, signature, body";
    sharing = crypto::sharing: "threshold, index, share, commitments";
    password = crypto::password: "a password record, and a password";
    roles = roles::deliver: "a moment, a role, and a frame of anybody or a timer, given to it twice";
    network = roles::hostile: "a moment, and what a hostile network does to all roles after it";
    block = archive::block: "a form; a stored block, and what is sealed in one";
    zstd_frame = archive::zstd_frame: "a stated length, and a zstd frame that is to have it";
    segment = archive::segment: "the only segment of an archive, and heads of segments and records";
    index = archive::index: "an index record, and what is sealed in one";
    manifest = archive::manifest: "a manifest, and the root of a version";
    retention = archive::retention: "a retention record, and the body of one";
    tree = archive::tree: "items of the tree of a version";
    archive = archive::archive: "records of an archive, sealed and signed";
    restore = restore::into_a_folder: "what stands in a target, and a tree that is restored into it";
    scope_file = text::scope_file: "a file of scopes";
    actions = text::actions: "the actions of a story, as JSON";
    lockstep = lockstep::lockstep: "a scope, and choices of actions for model and reference";
}

/// The target of a name.
pub fn find(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}
