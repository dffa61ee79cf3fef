//! HKDF-SHA-256 (RFC 5869) with lengths that the compiler checks: a derivation cannot fail, so that no caller goes on with a
//! key of zeroes.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// The most that HKDF-SHA-256 gives, in bytes: 255 blocks.
const MOST: usize = 255 * 32;

/// HKDF-Extract, then Expand to `N` bytes. The parts of `info` are joined.
pub(super) fn derive<const N: usize>(salt: Option<&[u8]>, secret: &[u8; 32], info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    expand(&Hkdf::<Sha256>::new(salt, secret), info)
}

/// HKDF-Expand alone, from a key that is uniformly random. The parts of `info` are joined.
pub(super) fn expand_key<const N: usize>(key: &[u8; 32], info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    match Hkdf::<Sha256>::from_prk(key) {
        Ok(hkdf) => expand(&hkdf, info),
        Err(_) => unreachable!("32 bytes are as long as the hash, which is all that is asked"),
    }
}

fn expand<const N: usize>(hkdf: &Hkdf<Sha256>, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= MOST, "HKDF-SHA-256 gives at most 255 blocks") };
    let mut out = Zeroizing::new([0; N]);
    match hkdf.expand_multi_info(info, &mut *out) {
        Ok(()) => out,
        Err(_) => unreachable!("the length was checked at compile time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest output is given in full, and is the limit: one byte more does not compile, and the library refuses it.
    #[test]
    fn the_limit_is_that_of_the_library() {
        let longest = derive::<MOST>(None, &[1; 32], &[b"info"]);
        assert!(longest.chunks(32).all(|block| block != [0; 32]), "a block was left empty");
        let mut longer = vec![0; MOST + 1];
        assert!(Hkdf::<Sha256>::new(None, &[1; 32]).expand(b"info", &mut longer).is_err());
    }

    #[test]
    fn the_parts_of_info_are_joined() {
        assert_eq!(derive::<32>(None, &[1; 32], &[b"ab", b"c"]), derive::<32>(None, &[1; 32], &[b"abc"]));
        assert_eq!(expand_key::<32>(&[1; 32], &[b"ab", b"c"]), expand_key::<32>(&[1; 32], &[b"abc"]));
        assert_ne!(expand_key::<32>(&[1; 32], &[b"abc"]), derive::<32>(None, &[1; 32], &[b"abc"]));
    }
}
