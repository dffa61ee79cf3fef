//! The targets, by what their bytes are.

pub mod archive;
pub mod crypto;
pub mod lockstep;
pub mod restore;
pub mod roles;
pub mod stored;
pub mod text;
pub mod wire;

/// Takes `N` bytes off the front; zeroes stand for what is missing, so that every input is an input.
pub(crate) fn front<const N: usize>(data: &mut &[u8]) -> [u8; N] {
    let taken = N.min(data.len());
    let (head, rest) = data.split_at(taken);
    *data = rest;
    let mut out = [0; N];
    out[..taken].copy_from_slice(head);
    out
}

/// Takes a piece off the front: two bytes of length, then as much of it as there is.
pub(crate) fn piece<'a>(data: &mut &'a [u8]) -> &'a [u8] {
    let length = usize::from(u16::from_be_bytes(front(data))).min(data.len());
    let (head, rest) = data.split_at(length);
    *data = rest;
    head
}

/// Joins pieces as [`piece`] takes them apart. Each is at most 65 535 bytes long.
pub(crate) fn join(pieces: &[&[u8]]) -> Vec<u8> {
    let with_length = |piece: &&[u8]| {
        let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
        [&length.to_be_bytes()[..], &piece[..usize::from(length)]].concat()
    };
    pieces.iter().flat_map(with_length).collect()
}
