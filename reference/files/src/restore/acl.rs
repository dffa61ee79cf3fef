//! POSIX access control lists, as the kernel keeps them in extended attributes.
//!
//! A value is a version of 4 bytes, then 8 bytes an entry: a tag and permissions of 2 bytes each, and an id, all little-endian.

use std::ffi::CStr;
use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;

/// The list that says who may use a file or a folder.
pub(super) const ACCESS: &CStr = c"system.posix_acl_access";
/// The list that everything made in a folder begins with.
pub(super) const DEFAULT: &CStr = c"system.posix_acl_default";

const HEADER_BYTES: usize = 4;
/// The tag of a named user.
const NAMED_USER: u16 = 0x02;
/// The tag of a named group.
const NAMED_GROUP: u16 = 0x08;
/// The tag of the owning group.
const GROUP: u16 = 0x04;
/// The tag of the limit to all groups and named users.
const MASK: u16 = 0x10;
/// The tag of everyone else.
const OTHER: u16 = 0x20;

pub(super) fn is_list(name: &[u8]) -> bool {
    [ACCESS, DEFAULT].iter().any(|list| list.to_bytes() == name)
}

/// The tag and the permissions of each entry.
fn entries(list: &[u8]) -> impl Iterator<Item = (u16, u16)> {
    let entries = list.get(HEADER_BYTES..).unwrap_or_default().as_chunks::<8>().0;
    entries.iter().map(|entry| (u16::from_le_bytes([entry[0], entry[1]]), u16::from_le_bytes([entry[2], entry[3]])))
}

fn of(list: &[u8], tag: u16) -> Option<u16> {
    entries(list).find(|(found, _)| *found == tag).map(|(_, permissions)| permissions)
}

/// What the owning group may do: 3 bits. Nothing if the list does not say.
pub(super) fn of_group(list: &[u8]) -> u32 {
    u32::from(of(list, GROUP).unwrap_or(0) & of(list, MASK).unwrap_or(7) & 7)
}

/// What every named user and group may do: 3 bits. Without the list they count as the owning group or as everyone else.
pub(super) fn of_all_named(list: &[u8]) -> u32 {
    let mask = of(list, MASK).unwrap_or(7);
    let named = entries(list).filter(|(tag, _)| [NAMED_USER, NAMED_GROUP].contains(tag));
    u32::from(named.fold(7, |all, (_, permissions)| all & permissions & mask))
}

/// The same list for another owning group: neither that group nor everyone else, which the former group now is among, gets more
/// than both had.
pub(super) fn of_another_group(list: &[u8]) -> Vec<u8> {
    let shared = of(list, OTHER).unwrap_or(0) & of(list, GROUP).unwrap_or(0) & of(list, MASK).unwrap_or(7);
    let mut list = list.to_vec();
    for entry in list.get_mut(HEADER_BYTES..).unwrap_or_default().as_chunks_mut::<8>().0 {
        if [GROUP, MASK, OTHER].contains(&u16::from_le_bytes([entry[0], entry[1]])) {
            let permissions = u16::from_le_bytes([entry[2], entry[3]]) & shared;
            entry[2..4].copy_from_slice(&permissions.to_le_bytes());
        }
    }
    list
}

/// Whether what is made in a folder inherits a list. If the system does not say, it may.
pub(super) fn is_inherited_in(folder: impl AsFd) -> bool {
    // A list that is longer than this is an error that says so.
    match rustix::fs::fgetxattr(folder, DEFAULT, &mut [0u8; 64][..]) {
        Ok(_) => true,
        Err(error) => !is_none(error),
    }
}

/// Takes both lists from a folder.
///
/// # Errors
/// What the system said.
pub(super) fn remove(folder: impl AsFd) -> io::Result<()> {
    for list in [ACCESS, DEFAULT] {
        match rustix::fs::fremovexattr(&folder, list) {
            Err(error) if !is_none(error) => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Whether an error says that there is no such attribute.
pub(super) fn is_none(error: Errno) -> bool {
    matches!(error, Errno::NODATA | Errno::OPNOTSUPP)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(u16, u16)]) -> Vec<u8> {
        let entry = |(tag, permissions): &(u16, u16)| {
            [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &u32::MAX.to_le_bytes()].concat()
        };
        [2u32.to_le_bytes().to_vec(), entries.iter().flat_map(entry).collect()].concat()
    }

    #[test]
    fn what_the_group_may_do_is_within_the_mask() {
        assert_eq!(of_group(&list(&[(1, 7), (2, 7), (GROUP, 6), (MASK, 5), (OTHER, 0)])), 4);
        assert_eq!(of_group(&list(&[(1, 7), (GROUP, 6), (OTHER, 0)])), 6);
        for odd in [&[][..], &[2], &[2, 0, 0, 0, 4], &[255; 11]] {
            assert_eq!((of_group(odd), of_another_group(odd)), (0, odd.to_vec()));
        }
    }

    #[test]
    fn a_list_for_another_group_gives_what_both_had() {
        let before = list(&[(1, 7), (2, 7), (GROUP, 6), (8, 7), (MASK, 7), (OTHER, 5)]);
        let after = list(&[(1, 7), (2, 7), (GROUP, 4), (8, 7), (MASK, 4), (OTHER, 4)]);
        assert_eq!(of_another_group(&before), after);
        let before = list(&[(1, 7), (2, 7), (GROUP, 7), (MASK, 3), (OTHER, 6)]);
        assert_eq!(of_another_group(&before), list(&[(1, 7), (2, 7), (GROUP, 2), (MASK, 2), (OTHER, 2)]));
    }

    #[test]
    fn what_all_named_may_do_is_within_the_mask() {
        assert_eq!(of_all_named(&list(&[(1, 7), (2, 6), (GROUP, 0), (8, 7), (MASK, 5), (OTHER, 0)])), 4);
        assert_eq!(of_all_named(&list(&[(1, 7), (GROUP, 0), (MASK, 0), (OTHER, 0)])), 7, "nobody is named");
        assert_eq!(of_all_named(&[255; 11]), 7);
    }
}
