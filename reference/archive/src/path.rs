//! Paths within a tree: components as raw bytes, none of which can lead out of it (BAK-11).

use std::fmt;

use minicbor::bytes::ByteSlice;
use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::error::ArchiveError;
use crate::limits::{COMPONENT_BYTES, PATH_BYTES, PATH_COMPONENTS};
use crate::text::escape;

/// A path below the root of a tree; the root itself has no components.
///
/// Every component is 1 to [`COMPONENT_BYTES`] bytes, has neither `/` nor NUL, and is neither `.` nor `..`; all together are at most
/// [`PATH_BYTES`]. Paths are ordered by their components, bytewise: a directory comes right before what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath {
    /// The components with NUL in between. No component has one, and it is below every other byte, so that keys compare as
    /// lists of components do; and a path is one piece of memory.
    key: Vec<u8>,
}

fn check_name(name: &[u8]) -> Result<(), ArchiveError> {
    let what = match name {
        b"" => "an empty component",
        b"." | b".." => "a component that is . or ..",
        _ if name.len() > COMPONENT_BYTES => "a component that is too long",
        _ if name.contains(&b'/') || name.contains(&0) => "a component with / or NUL",
        _ => return Ok(()),
    };
    Err(ArchiveError::BadPath { what })
}

/// Whether the path of a key is that of another or lies below it.
pub(crate) fn starts_with(key: &[u8], folder: &[u8]) -> bool {
    folder.is_empty() || key.strip_prefix(folder).is_some_and(|below| below.is_empty() || below[0] == 0)
}

impl TreePath {
    /// The root of a tree.
    pub fn root() -> Self {
        TreePath::default()
    }

    /// The path of these components.
    ///
    /// # Errors
    /// `BadPath`.
    pub fn new<N: AsRef<[u8]>>(components: impl IntoIterator<Item = N>) -> Result<Self, ArchiveError> {
        let mut path = TreePath::root();
        for (depth, name) in components.into_iter().enumerate() {
            path.push(depth, name.as_ref())?;
        }
        Ok(path)
    }

    /// The path of a name in this directory.
    ///
    /// # Errors
    /// `BadPath`.
    pub fn join(&self, name: &[u8]) -> Result<Self, ArchiveError> {
        let mut key = Vec::with_capacity(self.key.len() + 1 + name.len());
        key.extend_from_slice(&self.key);
        let mut path = TreePath { key };
        path.push(self.depth(), name)?;
        Ok(path)
    }

    /// Whether [`TreePath::join`] has a path for this name, without making it.
    ///
    /// # Errors
    /// `BadPath`.
    pub fn check_join(&self, name: &[u8]) -> Result<(), ArchiveError> {
        self.check_push(self.depth(), name)
    }

    fn check_push(&self, depth: usize, name: &[u8]) -> Result<(), ArchiveError> {
        check_name(name)?;
        if depth == PATH_COMPONENTS {
            return Err(ArchiveError::BadPath { what: "too many components" });
        }
        let separators = depth.saturating_sub(1);
        if self.key.len() - separators + name.len() > PATH_BYTES {
            return Err(ArchiveError::BadPath { what: "a path that is too long" });
        }
        Ok(())
    }

    /// Adds a component to the `depth` that there are.
    fn push(&mut self, depth: usize, name: &[u8]) -> Result<(), ArchiveError> {
        self.check_push(depth, name)?;
        if depth > 0 {
            self.key.push(0);
        }
        self.key.extend_from_slice(name);
        Ok(())
    }

    /// The components, the outermost first.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> + Clone {
        // Splitting nothing gives one empty part, which no component is.
        self.key.split(|byte| *byte == 0).filter(|name| !name.is_empty())
    }

    /// How many components there are.
    pub fn depth(&self) -> usize {
        if self.is_root() { 0 } else { 1 + self.key.iter().filter(|byte| **byte == 0).count() }
    }

    /// The components with NUL in between: bytes that compare as paths do.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The last component, and the key of the directory that it is in; none for the root.
    pub fn split_last(&self) -> Option<(&[u8], &[u8])> {
        if self.is_root() {
            return None;
        }
        Some(match self.key.iter().rposition(|byte| *byte == 0) {
            Some(at) => (&self.key[at + 1..], &self.key[..at]),
            None => (&self.key, &[]),
        })
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.key.is_empty()
    }

    /// Whether this is that path or lies below it.
    pub fn is_within(&self, folder: &TreePath) -> bool {
        starts_with(&self.key, &folder.key)
    }

    /// The directories that it lies in, from the root on.
    pub fn above(&self) -> impl Iterator<Item = TreePath> {
        let ends = self.key.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(at, _)| at);
        let root = (!self.is_root()).then_some(0);
        root.into_iter().chain(ends).map(|end| TreePath { key: self.key[..end].to_vec() })
    }

    /// The components with `/` in between, as a system writes a path below a directory.
    pub fn slashed(&self) -> Vec<u8> {
        self.key.iter().map(|byte| if *byte == 0 { b'/' } else { *byte }).collect()
    }
}

impl fmt::Display for TreePath {
    /// With `/` between components, each as [`crate::escaped`] shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for (i, component) in self.components().enumerate() {
            if i > 0 {
                f.write_str("/")?;
            }
            escape(component, f)?;
        }
        Ok(())
    }
}

impl<C> Encode<C> for TreePath {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.array(self.depth() as u64)?;
        self.components().try_for_each(|name| encoder.bytes(name)?.ok())
    }
}

impl<'b, C> Decode<'b, C> for TreePath {
    fn decode(decoder: &mut Decoder<'b>, context: &mut C) -> Result<Self, minicbor::decode::Error> {
        let at = decoder.position();
        // Most paths fit: their memory is asked for once, and does not grow name by name.
        let mut path = TreePath { key: Vec::with_capacity(64) };
        for (depth, name) in decoder.array_iter_with::<C, &ByteSlice>(context)?.enumerate() {
            path.push(depth, name?).map_err(|error| minicbor::decode::Error::message(error).at(at))?;
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Names = Vec<Vec<u8>>;

    fn names() -> impl Strategy<Value = Names> {
        let byte = prop::sample::select(vec![1u8, b' ', b'-', b'.', b'a', b'b', 0xff]);
        let name = prop::collection::vec(byte, 1..4).prop_filter("", |name| check_name(name).is_ok());
        prop::collection::vec(name, 0..5)
    }

    fn of(names: &[Vec<u8>]) -> TreePath {
        TreePath::new(names).unwrap()
    }

    proptest! {
        /// A path is what the list of its components is.
        #[test]
        fn paths_are_lists_of_components(a in names(), b in names()) {
            let (path, other) = (of(&a), of(&b));
            prop_assert!(path.components().eq(a.iter().map(Vec::as_slice)));
            prop_assert_eq!(path.depth(), a.len());
            prop_assert_eq!(path.cmp(&other), a.cmp(&b));
            prop_assert_eq!(path.is_within(&other), a.starts_with(&b));
            let split = a.split_last().map(|(name, above)| (name.clone(), of(above).key));
            prop_assert_eq!(path.split_last().map(|(name, above)| (name.to_vec(), above.to_vec())), split);
            prop_assert!(path.above().eq((0..a.len()).map(|taken| of(&a[..taken]))));
            prop_assert_eq!(path.slashed(), a.join(&b'/'));
            let joined = a.iter().try_fold(TreePath::root(), |path, name| path.join(name));
            prop_assert_eq!(joined.unwrap(), path.clone());
            let written = minicbor::to_vec(&path).unwrap();
            let list: Vec<minicbor::bytes::ByteVec> = a.into_iter().map(Into::into).collect();
            prop_assert_eq!(&written, &minicbor::to_vec(list).unwrap());
            prop_assert_eq!(minicbor::decode::<TreePath>(&written).unwrap(), path);
        }
    }

    #[test]
    fn limits_are_those_of_the_components() {
        let path = of(&vec![vec![b'x'; 1000]; PATH_BYTES / 1000]);
        for (path, length) in [(&path, PATH_BYTES % 1000), (&TreePath::root(), COMPONENT_BYTES)] {
            for (length, fits) in [(length, true), (length + 1, false)] {
                let name = vec![b'x'; length];
                assert_eq!((path.join(&name).is_ok(), path.check_join(&name).is_ok()), (fits, fits));
            }
        }
        let deep = of(&vec![b"x".to_vec(); PATH_COMPONENTS]);
        assert!(deep.check_join(b"x").is_err());
        assert!(deep.join(b"x").is_err());
        let bad = [&b""[..], b".", b"..", b"a/b", b"a\0b", &[b'x'; COMPONENT_BYTES + 1]];
        assert!(bad.iter().all(|name| TreePath::new([name]).is_err()));
    }
}
