//! Groups of versions: the rules of `forget` hold for each of them on its own.

use std::collections::BTreeMap;
use std::fmt;

use bailee_archive::{MachineId, Version, escaped};

use super::origin::with_machine;

/// What the versions of a group have in common. A host is its name and its machine: two machines may have one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupBy {
    host: bool,
    label: bool,
}

impl Default for GroupBy {
    /// Host and label.
    fn default() -> Self {
        GroupBy { host: true, label: true }
    }
}

impl std::str::FromStr for GroupBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut by = GroupBy { host: false, label: false };
        for word in text.split(',').filter(|_| !text.is_empty()) {
            match word {
                "host" => by.host = true,
                "label" => by.label = true,
                _ => {
                    return Err(
                        "name host, label or both with a comma between them; '' makes one group of all".into()
                    );
                }
            }
        }
        Ok(by)
    }
}

/// Where the versions of a group are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source<'a> {
    /// Anywhere: the group is not by host.
    Anywhere,
    /// They do not say.
    Unknown,
    Host(&'a [u8], Option<MachineId>),
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group<'a> {
    source: Source<'a>,
    label: Option<&'a [u8]>,
}

impl<'a> Group<'a> {
    fn of(version: &'a Version, by: GroupBy) -> Self {
        let source = match (&version.root.origin, by.host) {
            (_, false) => Source::Anywhere,
            (None, true) => Source::Unknown,
            (Some(origin), true) => Source::Host(&origin.host, origin.machine),
        };
        Group { source, label: by.label.then_some(&version.root.label[..]) }
    }
}

impl fmt::Display for Group<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            Source::Anywhere => f.write_str("any host")?,
            Source::Unknown => f.write_str("unknown host")?,
            Source::Host(host, machine) => write!(f, "host {}", with_machine(host, machine))?,
        }
        match self.label {
            Some(label) => write!(f, ", label {}", escaped(label)),
            None => f.write_str(", any label"),
        }
    }
}

/// The groups of versions; of each, which they are, in the order in which they were given.
pub(crate) fn groups<'a>(
    versions: impl IntoIterator<Item = &'a Version>,
    by: GroupBy,
) -> BTreeMap<Group<'a>, Vec<usize>> {
    let mut groups: BTreeMap<Group<'_>, Vec<usize>> = BTreeMap::new();
    for (at, version) in versions.into_iter().enumerate() {
        groups.entry(Group::of(version, by)).or_default().push(at);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(text: &str) -> GroupBy {
        text.parse().unwrap()
    }

    #[test]
    fn what_groups_are_by_is_a_list_of_words() {
        assert_eq!(by("host,label"), GroupBy::default());
        assert_eq!(by("label,host"), GroupBy::default());
        assert_eq!(by("host"), GroupBy { host: true, label: false });
        assert_eq!(by(""), GroupBy { host: false, label: false });
        for wrong in ["hosts", "host,", ",", " host", "host label"] {
            assert!(wrong.parse::<GroupBy>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_group_is_named_by_what_it_has_in_common() {
        let of = |source, label| Group { source, label }.to_string();
        let machine = Some(MachineId([0xab; 16]));
        assert_eq!(of(Source::Host(b"web", machine), Some(b"/home")), "host web#abab, label /home");
        assert_eq!(of(Source::Host(b"web", None), None), "host web, any label");
        assert_eq!(of(Source::Unknown, Some(b"a\n")), "unknown host, label a\\n");
        assert_eq!(of(Source::Anywhere, None), "any host, any label");
    }
}
