//! A file of patterns, as editors write it: with or without a byte order mark, with any kind of line ends.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::error::FilesError;

/// The largest file of patterns, in bytes.
const FILE_BYTES: u64 = 16 * 1024 * 1024;
/// What some editors put at the start of UTF-8.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
/// What starts UTF-16, with either order of bytes.
const UTF16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

const UTF16: &str = "it is UTF-16, and patterns are UTF-8: save it as UTF-8";
const NUL: &str = "a NUL byte, which no name has: if the file is UTF-16, save it as UTF-8";
const NO_FILE: &str =
    "it is not a file: save the patterns in a file, or pass the output of a command as `<(command)`";
/// The file system of pipes that have no name.
const PIPE_FS: u64 = 0x5049_5045;
const NOT_UTF8: &str =
    "it is not UTF-8: save the file as UTF-8, and write ? for each byte of a name that is not UTF-8";

/// Hands over each line, without its end. Lines end with LF, CR LF or CR; the last need not end.
///
/// # Errors
/// `Io`: the file cannot be read. `BadPatternFile`: it is not a file, is longer than 16 MiB or is not UTF-8, or a line is refused.
pub(super) fn each_line(
    file: &Path,
    mut take: impl FnMut(&str) -> Result<(), ignore::Error>,
) -> Result<(), FilesError> {
    let bad = |line, what: String| FilesError::BadPatternFile { path: file.to_path_buf(), line, what };
    let read = read(file).map_err(FilesError::io("reading the patterns in", file))?;
    let bytes = read.ok_or_else(|| bad(None, NO_FILE.into()))?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(bad(None, "more than 16 MiB of patterns".into()));
    }
    if UTF16_MARKS.iter().any(|mark| bytes.starts_with(mark)) {
        return Err(bad(None, UTF16.into()));
    }
    for (number, line) in (1..).zip(lines(bytes.strip_prefix(UTF8_MARK).unwrap_or(&bytes))) {
        if line.contains(&0) {
            return Err(bad(Some(number), NUL.into()));
        }
        let text = std::str::from_utf8(line).map_err(|_| bad(Some(number), NOT_UTF8.into()))?;
        take(text).map_err(|error| bad(Some(number), error.to_string()))?;
    }
    Ok(())
}

/// The bytes of a file, at most one more than is allowed; none if it is something else. A pipe with a name is not waited for: nobody
/// may ever write to it.
fn read(file: &Path) -> io::Result<Option<Vec<u8>>> {
    let opened = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(file)?;
    if !is_readable(&opened, opened.metadata()?.file_type()) {
        return Ok(None);
    }
    let flags = rustix::fs::fcntl_getfl(&opened)?;
    rustix::fs::fcntl_setfl(&opened, flags - OFlags::NONBLOCK)?;
    let mut bytes = Vec::new();
    opened.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Whether it is a file, a device such as `/dev/null`, or a pipe without a name, which another process has open, as `/dev/fd/63`.
fn is_readable(opened: &File, kind: FileType) -> bool {
    let is_nameless = || rustix::fs::fstatfs(opened).is_ok_and(|system| system.f_type as u64 == PIPE_FS);
    kind.is_file() || kind.is_char_device() || (kind.is_fifo() && is_nameless())
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            rest = None;
            return Some(bytes);
        };
        let length = if bytes[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = Some(&bytes[end + length..]);
        Some(&bytes[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(bytes: &[u8]) -> Result<Vec<String>, String> {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("patterns");
        std::fs::write(&file, bytes).unwrap();
        let mut found = Vec::new();
        let done = each_line(&file, |line| {
            found.push(line.to_string());
            Ok(())
        });
        done.map(|()| found).map_err(|error| error.to_string())
    }

    #[test]
    fn lines_end_as_any_editor_ends_them() {
        for text in ["a\nb \n\nc", "a\r\nb \r\n\r\nc", "a\rb \r\rc", "\u{feff}a\nb \r\rc"] {
            assert_eq!(read_back(text.as_bytes()).unwrap(), ["a", "b ", "", "c"], "{text:?}");
        }
        assert_eq!(read_back(b"").unwrap(), [""]);
        assert_eq!(read_back(b"a\n").unwrap(), ["a", ""]);
        assert_eq!(read_back("a\n\u{feff}b".as_bytes()).unwrap(), ["a", "\u{feff}b"], "a mark is one at the start");
    }

    #[test]
    fn what_is_not_utf8_is_named_with_its_line() {
        let units = |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        for marked in [units("\u{feff}*.o\n", u16::to_le_bytes), units("\u{feff}*.o\n", u16::to_be_bytes)] {
            let said = read_back(&marked).unwrap_err();
            assert!(said.contains("/patterns: it is UTF-16") && said.contains("save it as UTF-8"), "{said}");
        }
        let said = read_back(&units("*.o\n", u16::to_le_bytes)).unwrap_err();
        assert!(said.contains("/patterns, line 1: a NUL byte"), "{said}");
        let said = read_back(b"*.o\r\ncaf\xe9\r\n").unwrap_err();
        assert!(said.contains("/patterns, line 2: it is not UTF-8"), "{said}");
    }

    #[test]
    fn what_is_not_a_file_is_refused_and_not_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let pipe = place.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        for path in [&pipe, place.path()] {
            let said = each_line(path, |_| Ok(())).unwrap_err().to_string();
            assert!(said.contains("it is not a file"), "{said}");
        }
        each_line(Path::new("/dev/null"), |_| Ok(())).unwrap();
    }

    #[test]
    fn what_another_command_says_is_read_to_its_end() {
        use std::io::Write;
        use std::os::fd::AsRawFd;
        let (reader, mut writer) = io::pipe().unwrap();
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        let late = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            writer.write_all(b"a\nb").unwrap();
        });
        let mut found = Vec::new();
        let done = each_line(Path::new(&path), |line| {
            found.push(line.to_string());
            Ok(())
        });
        done.unwrap();
        late.join().unwrap();
        assert_eq!(found, ["a", "b"]);
    }

    #[test]
    fn a_file_that_is_too_long_is_refused() {
        let said = read_back(&vec![b'\n'; FILE_BYTES as usize + 1]).unwrap_err();
        assert!(said.contains("16 MiB"), "{said}");
    }
}
