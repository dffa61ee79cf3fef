//! Where the bytes of a file go: to disk, with holes for zeros if it had holes, or against what is there.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

/// What a hole is aligned to, in bytes: the block of most file systems.
const HOLE_BYTES: u64 = 4096;

/// Writes a new, empty file from its beginning; zeros of an aligned block are left as a hole.
pub(super) struct Sparse<'a> {
    file: &'a File,
    offset: u64,
}

impl<'a> Sparse<'a> {
    pub(super) fn new(file: &'a File) -> Self {
        Sparse { file, offset: 0 }
    }

    /// Gives the file its length: it may end with a hole.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn finish(self) -> io::Result<()> {
        self.file.set_len(self.offset)
    }

    fn write_run(&mut self, run: &[u8]) -> io::Result<()> {
        self.file.write_all_at(run, self.offset)?;
        self.offset += run.len() as u64;
        Ok(())
    }
}

/// The length of the part of the bytes that lies in the block at the offset.
fn in_block(offset: u64, length: usize) -> usize {
    length.min((HOLE_BYTES - offset % HOLE_BYTES) as usize)
}

impl Write for Sparse<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            // What was not written reads as zeros already, be it a whole block or a part of one.
            let part = in_block(self.offset, rest.len());
            if is_zero(&rest[..part]) {
                self.offset += part as u64;
                rest = &rest[part..];
                continue;
            }
            let mut run = part;
            while run < rest.len() {
                let next = in_block(self.offset + run as u64, rest.len() - run);
                if is_zero(&rest[run..run + next]) {
                    break;
                }
                run += next;
            }
            self.write_run(&rest[..run])?;
            rest = &rest[run..];
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|word| *word == [0; 16]) && rest.iter().all(|byte| *byte == 0)
}

/// Takes the bytes that a file should have, and stops at the first that it does not have.
pub(super) struct Comparing<'a> {
    file: &'a File,
    offset: u64,
    buffer: Vec<u8>,
}

impl<'a> Comparing<'a> {
    pub(super) fn new(file: &'a File) -> Self {
        Comparing { file, offset: 0, buffer: Vec::new() }
    }
}

impl Write for Comparing<'_> {
    /// # Errors
    /// `InvalidData` for another byte, `UnexpectedEof` for a file that is too short.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.resize(bytes.len(), 0);
        self.file.read_exact_at(&mut self.buffer, self.offset)?;
        if self.buffer != bytes {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "read back, it has other bytes"));
        }
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::MetadataExt;

    proptest! {
        #[test]
        fn holes_change_no_byte(
            runs in prop::collection::vec((any::<bool>(), 0usize..9000), 0..12),
            pieces in prop::collection::vec(1usize..10_000, 1..8),
        ) {
            let mut bytes = Vec::new();
            for (zero, length) in runs {
                bytes.extend((0..length).map(|at| if zero { 0 } else { at as u8 }));
            }
            let file = tempfile::tempfile().unwrap();
            let mut sink = Sparse::new(&file);
            let (mut rest, mut pieces) = (&bytes[..], pieces.iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rest.len().min(*pieces.next().unwrap()));
                sink.write_all(piece).unwrap();
                rest = after;
            }
            sink.finish().unwrap();
            prop_assert_eq!(file.metadata().unwrap().len(), bytes.len() as u64);
            prop_assert!(Comparing::new(&file).write_all(&bytes).is_ok());
            if let Some(byte) = bytes.last_mut() {
                *byte ^= 1;
                prop_assert!(Comparing::new(&file).write_all(&bytes).is_err());
            }
        }
    }

    #[test]
    fn zeros_take_no_room() {
        let file = tempfile::tempfile().unwrap();
        let mut sink = Sparse::new(&file);
        sink.write_all(&[1; 10]).unwrap();
        sink.write_all(&vec![0; 1 << 20]).unwrap();
        sink.finish().unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!(metadata.len(), (1 << 20) + 10);
        assert!(metadata.blocks() * 512 < 1 << 16, "{} blocks", metadata.blocks());
    }
}
