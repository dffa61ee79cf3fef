//! Paths within a tree: components as raw bytes, none of which can lead out of it.

use std::fmt;

use minicbor::bytes::ByteSlice;
use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::error::ArchiveError;
use crate::limits::{NAME_BYTES, PATH_BYTES, PATH_COMPONENTS};

/// A path below the root of a tree; the root itself has no components.
///
/// Every component is 1 to [`NAME_BYTES`] bytes, has neither `/` nor NUL, and is neither `.` nor `..`; all together are at most
/// [`PATH_BYTES`]. Paths are ordered by their components, bytewise: a directory comes right before what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath {
    components: Vec<Vec<u8>>,
}

fn check_name(name: &[u8]) -> Result<(), ArchiveError> {
    let what = match name {
        b"" => "an empty component",
        b"." | b".." => "a component that is . or ..",
        _ if name.len() > NAME_BYTES => "a component that is too long",
        _ if name.contains(&b'/') || name.contains(&0) => "a component with / or NUL",
        _ => return Ok(()),
    };
    Err(ArchiveError::BadPath { what })
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
    pub fn new(components: Vec<Vec<u8>>) -> Result<Self, ArchiveError> {
        if components.len() > PATH_COMPONENTS {
            return Err(ArchiveError::BadPath { what: "too many components" });
        }
        components.iter().try_for_each(|name| check_name(name))?;
        if components.iter().map(Vec::len).sum::<usize>() > PATH_BYTES {
            return Err(ArchiveError::BadPath { what: "a path that is too long" });
        }
        Ok(TreePath { components })
    }

    /// The path of a name in this directory.
    ///
    /// # Errors
    /// `BadPath`.
    pub fn join(&self, name: &[u8]) -> Result<Self, ArchiveError> {
        check_name(name)?;
        if self.components.len() == PATH_COMPONENTS {
            return Err(ArchiveError::BadPath { what: "too many components" });
        }
        if self.components.iter().map(Vec::len).sum::<usize>() + name.len() > PATH_BYTES {
            return Err(ArchiveError::BadPath { what: "a path that is too long" });
        }
        let mut components = self.components.clone();
        components.push(name.to_vec());
        Ok(TreePath { components })
    }

    /// The components.
    pub fn components(&self) -> &[Vec<u8>] {
        &self.components
    }

    /// The last component and those before it; none for the root.
    pub fn split_last(&self) -> Option<(&[u8], &[Vec<u8>])> {
        self.components.split_last().map(|(name, parents)| (&name[..], parents))
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.components.is_empty()
    }
}

impl fmt::Display for TreePath {
    /// With `/` between components; bytes that are no printable text are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for (i, component) in self.components.iter().enumerate() {
            if i > 0 {
                f.write_str("/")?;
            }
            for chunk in component.utf8_chunks() {
                for c in chunk.valid().chars() {
                    if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
                }
                chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
            }
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
        encoder.array(self.components.len() as u64)?;
        self.components.iter().try_for_each(|name| encoder.bytes(name)?.ok())
    }
}

impl<'b, C> Decode<'b, C> for TreePath {
    fn decode(decoder: &mut Decoder<'b>, context: &mut C) -> Result<Self, minicbor::decode::Error> {
        let at = decoder.position();
        let names: Vec<&ByteSlice> = Vec::decode(decoder, context)?;
        TreePath::new(names.into_iter().map(|name| name.to_vec()).collect())
            .map_err(|error| minicbor::decode::Error::message(error).at(at))
    }
}
