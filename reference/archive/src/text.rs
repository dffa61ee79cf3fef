//! Names as text: any bytes may be a name, and none may write to a terminal or look like another.

use std::fmt::{self, Write};

/// Bytes as text that shows them: control characters, characters that change the direction of writing and bytes that are no text are
/// escaped, and so is the backslash, so that no two names look alike.
pub fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let done = escape(bytes, &mut out);
    debug_assert!(done.is_ok(), "a string takes everything");
    out
}

/// Writes bytes as [`escaped`] gives them.
pub(crate) fn escape(bytes: &[u8], out: &mut impl Write) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_shown_as_it_is(c) { out.write_char(c)? } else { write!(out, "{}", c.escape_default())? }
        }
        chunk.invalid().iter().try_for_each(|byte| write!(out, "\\x{byte:02x}"))?;
    }
    Ok(())
}

fn is_shown_as_it_is(c: char) -> bool {
    let turns_text = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !turns_text && c != '\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_writes_to_the_terminal_and_no_two_look_alike() {
        assert_eq!(escaped("plain ä".as_bytes()), "plain ä");
        assert_eq!(escaped(b"a\x1b[2J\xff"), "a\\u{1b}[2J\\xff");
        assert_eq!(escaped("gnp.\u{202e}exe\u{2066}\u{200f}".as_bytes()), "gnp.\\u{202e}exe\\u{2066}\\u{200f}");
        assert_eq!((escaped(b"a\nb"), escaped(b"a\\nb")), ("a\\nb".into(), "a\\\\nb".into()));
    }
}
