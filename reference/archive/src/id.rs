//! Identifiers and digests: fixed lengths, one type a meaning, shown in hexadecimal.

use std::fmt;

use minicbor::bytes::ByteArray;
use minicbor::{Decode, Decoder, Encode, Encoder};

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident: $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl<C> Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                encoder: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                encoder.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(decoder: &mut Decoder<'b>, context: &mut C) -> Result<Self, minicbor::decode::Error> {
                ByteArray::<$bytes>::decode(decoder, context).map(|bytes| $name(bytes.into()))
            }
        }
    };
}

macro_rules! shown {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl $name {
            /// Reads what `Display` writes, in digits of either case; nothing, if it is anything else.
            pub fn from_hex(digits: &[u8]) -> Option<Self> {
                bytes_of(digits).map(Self)
            }
        }
    )*};
}

fn bytes_of<const LENGTH: usize>(digits: &[u8]) -> Option<[u8; LENGTH]> {
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let mut bytes = [0; LENGTH];
    if pairs.len() != LENGTH {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let value = |digit: u8| char::from(digit).to_digit(16);
        *byte = (value(pair[0])? << 4 | value(pair[1])?) as u8;
    }
    Some(bytes)
}

shown!(ArchiveId, BlockId, DeviceId, Digest, MachineId);

impl fmt::Debug for ChunkId {
    /// Says nothing of it: a chunk id must not get into a log (BAK-4).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkId(…)")
    }
}

identifier! {
    /// Which archive: random, drawn when the archive is made. It names neither tenant nor user.
    ArchiveId: 16
}
identifier! {
    /// Which block: the random salt of its `seal_once`. It says nothing of the content.
    BlockId: 32
}
identifier! {
    /// Which chunk: keyed BLAKE3 of its content. It is never visible outside sealed data.
    ChunkId: 32
}
identifier! {
    /// Which device wrote a manifest: its public signing key.
    DeviceId: 32
}
identifier! {
    /// Which machine made a version: random, drawn once per machine. It tells apart two machines of one host name.
    MachineId: 16
}
identifier! {
    /// A digest: SHA-256, of a stored block BLAKE3.
    Digest: 32
}

impl Digest {
    /// The SHA-256 digest of the bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Digest(sha2::Sha256::digest(bytes).into())
    }

    /// The BLAKE3 digest of a stored block: on data that does not compress, SHA-256 would take longer than all else together.
    pub fn of_block(bytes: &[u8]) -> Self {
        Digest(*blake3::hash(bytes).as_bytes())
    }
}
