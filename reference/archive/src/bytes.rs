//! Reading fixed-size fields off the front of bytes from outside.

use crate::error::{ArchiveError, Part};

pub(crate) struct Bytes<'a> {
    part: Part,
    whole: usize,
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub(crate) fn new(part: Part, bytes: &'a [u8]) -> Self {
        Bytes { part, whole: bytes.len(), rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], ArchiveError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.truncated(length))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], ArchiveError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.truncated(N))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, ArchiveError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, ArchiveError> {
        self.array().map(u64::from_be_bytes)
    }

    fn truncated(&self, length: usize) -> ArchiveError {
        let needed = (self.whole - self.rest.len()).saturating_add(length);
        ArchiveError::Truncated { part: self.part, length: self.whole, needed }
    }
}
