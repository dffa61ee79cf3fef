//! A secret typed at a terminal without being shown, or read from standard input.

use std::io::{self, IsTerminal, Read, Write};
use std::sync::{Mutex, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// The terminal as it was before typing was hidden.
static SHOWN: Mutex<Option<Termios>> = Mutex::new(None);

/// Shows typing again, if it is hidden. Also called when the program is interrupted.
pub(crate) fn show_typing_again() {
    if let Some(as_it_was) = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &as_it_was);
    }
}

fn hide_typing() -> io::Result<()> {
    let as_it_was = tcgetattr(io::stdin())?;
    let mut hidden = as_it_was.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(as_it_was);
    tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
    Ok(())
}

/// A secret of at most `limit` bytes: one line from a terminal, which asks for it; all of standard input else.
///
/// # Errors
/// What the system said; `InvalidData` for what is too long or no text.
pub(crate) fn secret(ask: &str, limit: usize) -> io::Result<Zeroizing<String>> {
    if !io::stdin().is_terminal() {
        return text(&mut io::stdin().lock(), limit, false);
    }
    let _ = write!(io::stderr(), "{ask}");
    hide_typing()?;
    let typed = text(&mut io::stdin().lock(), limit, true);
    show_typing_again();
    let _ = writeln!(io::stderr());
    typed
}

/// Byte by byte into one buffer, so that no copy stays behind in one that is not wiped.
fn text(from: &mut dyn Read, limit: usize, one_line: bool) -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit));
    let mut byte = Zeroizing::new([0u8; 1]);
    while from.read(&mut *byte)? == 1 && !(one_line && byte[0] == b'\n') {
        if bytes.len() == limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("more than {limit} bytes")));
        }
        bytes.push(byte[0]);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not text"))?;
    let mut out = Zeroizing::new(String::with_capacity(limit));
    out.push_str(text);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_or_everything_up_to_the_limit() {
        let read = |bytes: &[u8], one_line| text(&mut &bytes[..], 8, one_line).map(|text| text.to_string());
        assert_eq!(read(b"ab\ncd", true).unwrap(), "ab");
        assert_eq!(read(b"ab\ncd", false).unwrap(), "ab\ncd");
        assert_eq!(read(b"12345678", false).unwrap(), "12345678");
        assert_eq!(read(b"123456789", false).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read(b"\xff", false).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
