//! Bugs that a test can switch on (feature `testing`); without it none can be.

bailee_core::quirks! {
    /// Blocks are stored as they are.
    BlocksInClear = "archive-blocks-in-clear",
    /// The number in the head of a segment is not compared with the segment's.
    SegmentNumberIgnored = "segment-number-ignored",
    /// A link that is remembered counts as there if any link of its device is.
    RolledBackUnseen = "rolled-back-unseen",
    /// Manifests of any device are taken.
    UnknownDeviceTaken = "unknown-device-taken",
    /// A link need not follow the one before it.
    ChainUnchecked = "chain-unchecked",
    /// Cuts are decided by a function that is linear over GF(2).
    LinearCuts = "linear-cuts",
}
