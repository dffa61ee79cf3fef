//! What the fields of frames have in common: names have a length, and bytes are not printed.

use std::fmt;

use bailee_spec::limits::NAME_BYTES;

use super::{B32, Blob, Factor, Header, LogEntry, Roster};

/// A field of a frame.
pub(super) trait Field {
    /// Whether the names in it are names (GEN-12a).
    fn fits(&self) -> bool {
        true
    }

    /// Prints it, of bytes no more than their number.
    fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// A field, to be printed.
pub(super) struct Shown<'a, T>(pub(super) &'a T);

impl<T: Field> fmt::Debug for Shown<'_, T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(out)
    }
}

impl Field for String {
    fn fits(&self) -> bool {
        (1..=NAME_BYTES).contains(&self.len())
    }

    fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self:?}")
    }
}

impl Field for Blob {
    fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} bytes", self.len())
    }
}

impl Field for B32 {
    /// Its beginning: enough to tell two apart, and too little to use one.
    fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third, fourth, ..] = **self;
        write!(out, "{first:02x}{second:02x}{third:02x}{fourth:02x}…")
    }
}

impl<T: Field> Field for Option<T> {
    fn fits(&self) -> bool {
        self.as_ref().is_none_or(Field::fits)
    }

    fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Some(field) => field.show(out),
            None => out.write_str("none"),
        }
    }
}

impl<T: Field> Field for Vec<T> {
    fn fits(&self) -> bool {
        self.iter().all(Field::fits)
    }

    fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.iter().map(Shown)).finish()
    }
}

impl Field for LogEntry {
    fn fits(&self) -> bool {
        self.tenant.fits() && self.user.fits()
    }

    fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self:?}")
    }
}

impl Field for Factor {
    fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "code {}", self.code)
    }
}

/// What holds no name and nothing secret is printed as it is.
macro_rules! plain {
    ($($field:ty)*) => {
        $(impl Field for $field {
            fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{self:?}")
            }
        })*
    };
}

plain! { u8 u64 bool Header Roster }
