//! Giving metadata back to the system: never more to anyone than the version gives, whatever was inherited from the folder.
//!
//! The order matters. The owner comes first, as the kernel takes set-id bits and capabilities away when it changes. The permissions
//! come last: until then nobody else may enter, and anyone who sees them knows that content and metadata are complete.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use bailee_archive::tree::{Meta, Xattr};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};

use super::acl;
use crate::folder::Folder;
use crate::meta;

const CAPABILITY: &[u8] = b"security.capability";
const NO_CAPABILITIES: &str = "the capabilities not restored: they belong to another user";

/// Something that is to get its metadata.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// A file or a folder that is open.
    Open(BorrowedFd<'a>),
    /// What cannot be opened: a link, a pipe, a socket, a device.
    Named {
        /// The folder that it is in.
        folder: &'a Arc<Folder>,
        /// That folder's handle.
        handle: BorrowedFd<'a>,
        /// Its name there.
        name: &'a CStr,
        /// Whether it is a link: links have no permissions.
        is_link: bool,
    },
}

impl Place<'_> {
    fn stat(self) -> rustix::io::Result<Stat> {
        match self {
            Place::Open(open) => rustix::fs::fstat(open),
            Place::Named { handle, name, .. } => rustix::fs::statat(handle, name, AtFlags::SYMLINK_NOFOLLOW),
        }
    }

    fn set_owner(self, uid: Option<Uid>, gid: Option<Gid>) -> rustix::io::Result<()> {
        match self {
            Place::Open(open) => rustix::fs::fchown(open, uid, gid),
            Place::Named { handle, name, .. } => {
                rustix::fs::chownat(handle, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }

    fn xattrs(self) -> io::Result<Vec<Xattr>> {
        match self {
            Place::Open(open) => meta::xattrs_of(open),
            Place::Named { folder, name, .. } => meta::xattrs_in(folder, name),
        }
    }

    fn set_xattr(self, xattr: &CStr, value: &[u8]) -> io::Result<()> {
        match self {
            Place::Open(open) => Ok(rustix::fs::fsetxattr(open, xattr, value, XattrFlags::empty())?),
            Place::Named { folder, name, .. } => {
                folder.short_path(name, |path| Ok(rustix::fs::lsetxattr(path, xattr, value, XattrFlags::empty())?))
            }
        }
    }

    /// Takes an attribute away, if it is there.
    fn remove_xattr(self, xattr: &CStr) -> io::Result<()> {
        let gone = |done| match done {
            Err(error) if !acl::is_none(error) => Err(io::Error::from(error)),
            _ => Ok(()),
        };
        match self {
            Place::Open(open) => gone(rustix::fs::fremovexattr(open, xattr)),
            Place::Named { folder, name, .. } => {
                folder.short_path(name, |path| gone(rustix::fs::lremovexattr(path, xattr)))
            }
        }
    }

    fn set_mode(self, mode: u32) -> io::Result<()> {
        match self {
            Place::Open(open) => Ok(rustix::fs::fchmod(open, Mode::from_raw_mode(mode))?),
            Place::Named { is_link: true, .. } => Ok(()),
            Place::Named { handle, name, .. } => set_mode_in(handle, name, mode),
        }
    }

    fn set_times(self, meta: &Meta) -> rustix::io::Result<()> {
        let time = Timespec { tv_sec: meta.mtime.seconds, tv_nsec: meta.mtime.nanoseconds as _ };
        let times = Timestamps { last_access: time, last_modification: time };
        match self {
            Place::Open(open) => rustix::fs::futimens(open, &times),
            Place::Named { handle, name, .. } => {
                rustix::fs::utimensat(handle, name, &times, AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }
}

/// Sets the permissions of what has this name in a folder, unless it is a link: no system call of old refuses to follow one.
///
/// # Errors
/// What the system said.
pub(super) fn set_mode_in(folder: BorrowedFd<'_>, name: &CStr, mode: u32) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let itself = rustix::fs::openat(folder, name, flags, Mode::empty())?;
    let path = format!("/proc/self/fd/{}", itself.as_raw_fd());
    Ok(rustix::fs::chmod(path, Mode::from_raw_mode(mode))?)
}

/// What something may have that the version does not give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing.
    Nothing,
    /// It was made in a folder whose access control list it inherited.
    InheritedList,
    /// It stood there before: any attribute.
    Anything,
}

/// What the system did not allow of the metadata of an entry.
#[derive(Default)]
pub(super) struct Refusals(pub(super) Vec<String>);

impl Refusals {
    fn note(&mut self, what: &str, done: io::Result<()>) -> bool {
        if let Err(error) = &done {
            self.0.push(format!("{what} not restored: {error}"));
        }
        done.is_ok()
    }
}

/// Whether something belongs to the user and the group that the version says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owned {
    user: bool,
    group: bool,
}

impl Owned {
    fn of(stat: &Stat, meta: &Meta) -> Self {
        Owned { user: stat.st_uid == meta.uid, group: stat.st_gid == meta.gid }
    }
}

/// The permissions that may be given, and what that leaves out. A set-id bit speaks for the owner or the group that it was set for,
/// and for no other. Another group, and everyone, get what both the former group and everyone had.
fn permitted(meta: &Meta, owned: Owned) -> (u32, Vec<&'static str>) {
    let mode = meta.mode;
    let (mut given, mut without) = (mode, Vec::new());
    if !owned.user && mode & 0o4000 != 0 {
        given &= !0o4000;
        without.push("the set-user-id bit not restored: it belongs to another user");
    }
    if !owned.group {
        let list = meta.xattrs.iter().find(|xattr| *xattr.name == *acl::ACCESS.to_bytes());
        // With a list, the bits of the group are its mask.
        let shared = mode & list.map_or(mode >> 3, |list| acl::of_group(&list.value)) & 0o007;
        given &= !0o077 | shared << 3 | shared;
        if mode & 0o2000 != 0 {
            given &= !0o2000;
            without.push("the set-group-id bit not restored: it belongs to another group");
        }
    }
    (given, without)
}

/// The value that an attribute may be given; none if it speaks for a user who does not own the file.
fn permitted_value(xattr: &Xattr, owned: Owned) -> Option<Vec<u8>> {
    match &xattr.name[..] {
        CAPABILITY if !owned.user => None,
        name if acl::is_list(name) && !owned.group => Some(acl::of_another_group(&xattr.value)),
        _ => Some(xattr.value.to_vec()),
    }
}

/// Whether an attribute that the version does not have is taken away. Others are the system's own, as labels are.
fn is_removed(name: &[u8]) -> bool {
    name.starts_with(b"user.") || acl::is_list(name) || name == CAPABILITY
}

/// Gives metadata, as far as this user may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Giver {
    /// The user who restores.
    me: Uid,
}

impl Giver {
    pub(super) fn new() -> Self {
        Giver { me: rustix::process::geteuid() }
    }

    /// Whether something belongs to the user who restores, or already to its owner of the version.
    pub(super) fn may_have_made(self, stat: &Stat, meta: &Meta) -> bool {
        self.is_mine(stat) || stat.st_uid == meta.uid
    }

    /// Whether something belongs to the user who restores.
    pub(super) fn is_mine(self, stat: &Stat) -> bool {
        stat.st_uid == self.me.as_raw()
    }

    /// Gives something its metadata.
    pub(super) fn give(self, place: Place<'_>, meta: &Meta, before: Before) -> Refusals {
        let mut refused = Refusals::default();
        let owned = self.give_owner(place, meta, &mut refused);
        let (mut mode, without) = permitted(meta, owned);
        refused.0.extend(without.into_iter().map(String::from));
        if !take_away(place, meta, before, &mut refused) {
            mode &= !0o070;
        }
        let (lists, others): (Vec<_>, Vec<_>) = meta.xattrs.iter().partition(|xattr| acl::is_list(&xattr.name));
        for xattr in others {
            give_xattr(place, xattr, owned, &mut refused);
        }
        refused.note("the time of change", place.set_times(meta).map_err(Into::into));
        // A list changes the permissions, too.
        for list in lists {
            if !give_xattr(place, list, owned, &mut refused) && *list.name == *acl::ACCESS.to_bytes() {
                let named = acl::of_all_named(&list.value);
                mode &= !0o077 | (acl::of_group(&list.value) & named) << 3 | named;
            }
        }
        refused.note("the permissions", place.set_mode(mode));
        refused
    }

    /// Gives something its owner and its group, and says which of both it has then.
    fn give_owner(self, place: Place<'_>, meta: &Meta, refused: &mut Refusals) -> Owned {
        let (uid, gid) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
        let known = if self.me.is_root() {
            let done = place.set_owner(Some(uid), Some(gid)).map_err(Into::into);
            refused.note("the owner", done).then_some(Owned { user: true, group: true })
        } else if matches!(place, Place::Named { is_link: true, .. }) {
            // Nobody is let in by the owner of a link.
            Some(Owned { user: uid == self.me, group: false })
        } else {
            // A group that the user is in may be given; another stays away without a word, as the owner does.
            let group = place.set_owner(None, Some(gid)).is_ok();
            (meta.mode & 0o6000 == 0).then_some(Owned { user: uid == self.me, group })
        };
        let seen = || place.stat().map_or(Owned { user: false, group: false }, |stat| Owned::of(&stat, meta));
        known.unwrap_or_else(seen)
    }

    /// Whether something has this metadata, as far as this user could have given it: then what it lacks. `stat` is its state before
    /// it was opened.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn is_as(self, stat: &Stat, open: BorrowedFd<'_>, meta: &Meta) -> io::Result<Option<Refusals>> {
        if !self.has_stat(stat, meta) {
            return Ok(None);
        }
        let (owned, found) = (Owned::of(stat, meta), meta::xattrs_of(open)?);
        let of = |name: &[u8]| found.iter().find(|xattr| *xattr.name == *name).map(|xattr| &*xattr.value);
        let is_given =
            |xattr: &&Xattr| self.me.is_root() || xattr.name.starts_with(b"user.") || acl::is_list(&xattr.name);
        let has_all = meta
            .xattrs
            .iter()
            .filter(is_given)
            .all(|xattr| permitted_value(xattr, owned).is_none_or(|value| of(&xattr.name) == Some(&value)));
        let has_no_more = found.iter().all(|xattr| !is_removed(&xattr.name) || has(meta, &xattr.name));
        if !has_all || !has_no_more {
            return Ok(None);
        }
        let mut lacks = lacking(stat, meta);
        for xattr in meta.xattrs.iter().filter(|xattr| !is_given(xattr)) {
            match permitted_value(xattr, owned) {
                None => lacks.0.push(NO_CAPABILITIES.into()),
                Some(value) if of(&xattr.name) != Some(&value) => {
                    lacks.0.push("an extended attribute not restored: this user may not set it".into());
                }
                Some(_) => {}
            }
        }
        Ok(Some(lacks))
    }

    /// The same without extended attributes.
    pub(super) fn has_stat(self, stat: &Stat, meta: &Meta) -> bool {
        let owned = Owned::of(stat, meta);
        let found = meta::of(stat);
        (owned == Owned { user: true, group: true } || !self.me.is_root())
            && found.mtime == meta.mtime
            && found.mode == permitted(meta, owned).0
    }

    /// The same of a link, which has no permissions.
    pub(super) fn is_link_as(self, stat: &Stat, meta: &Meta) -> bool {
        let owned = Owned::of(stat, meta);
        (owned == Owned { user: true, group: true } || !self.me.is_root()) && meta::of(stat).mtime == meta.mtime
    }
}

/// What the permissions of something lack because it belongs to somebody else.
pub(super) fn lacking(stat: &Stat, meta: &Meta) -> Refusals {
    Refusals(permitted(meta, Owned::of(stat, meta)).1.into_iter().map(String::from).collect())
}

fn has(meta: &Meta, name: &[u8]) -> bool {
    meta.xattrs.iter().any(|xattr| *xattr.name == *name)
}

fn give_xattr(place: Place<'_>, xattr: &Xattr, owned: Owned, refused: &mut Refusals) -> bool {
    let Some(value) = permitted_value(xattr, owned) else {
        refused.0.push(NO_CAPABILITIES.into());
        return false;
    };
    let name = CString::new(xattr.name.to_vec()).map_err(io::Error::from);
    refused.note("an extended attribute", name.and_then(|name| place.set_xattr(&name, &value)))
}

/// Takes away what the version does not have. Whether no access control list is left that opens more than the permissions say.
fn take_away(place: Place<'_>, meta: &Meta, before: Before, refused: &mut Refusals) -> bool {
    let found = match before {
        Before::Nothing => return true,
        Before::InheritedList if matches!(place, Place::Named { is_link: true, .. }) => return true,
        Before::InheritedList => vec![acl::ACCESS.to_bytes().to_vec()],
        Before::Anything => match place.xattrs() {
            Ok(found) => found.into_iter().map(|xattr| xattr.name.to_vec()).collect(),
            Err(error) => return refused.note("the extended attributes", Err(error)),
        },
    };
    let mut is_closed = true;
    for name in found.into_iter().filter(|name| is_removed(name) && !has(meta, name)) {
        let is_access = name == acl::ACCESS.to_bytes();
        let done = CString::new(name).map_err(io::Error::from).and_then(|name| place.remove_xattr(&name));
        is_closed &= refused.note("the lack of an extended attribute", done) || !is_access;
    }
    is_closed
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Owned = Owned { user: true, group: true };

    /// A set-id bit that is given to the user who restores would let others act as that user.
    #[test]
    fn set_id_bits_go_to_their_owner_alone() {
        let given = |mode, owned| {
            let (mode, without) = permitted(&Meta { mode, ..Meta::default() }, owned);
            (mode, without.len())
        };
        assert_eq!(given(0o6755, BOTH), (0o6755, 0));
        assert_eq!(given(0o6755, Owned { user: false, ..BOTH }), (0o2755, 1));
        assert_eq!(given(0o6755, Owned { group: false, ..BOTH }), (0o4755, 1));
    }

    #[test]
    fn another_group_and_everyone_get_what_both_had() {
        let given = |mode| permitted(&Meta { mode, ..Meta::default() }, Owned { group: false, ..BOTH }).0;
        assert_eq!(
            [0o660, 0o640, 0o664, 0o775, 0o604, 0o746, 0o1770].map(given),
            [0o600, 0o600, 0o644, 0o755, 0o600, 0o744, 0o1700]
        );
    }

    fn list(name: &CStr, entries: &[(u16, u16)]) -> Xattr {
        let entry = |(tag, permissions): &(u16, u16)| {
            [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &1000u32.to_le_bytes()].concat()
        };
        let value = [2u32.to_le_bytes().to_vec(), entries.iter().flat_map(entry).collect()].concat();
        Xattr { name: name.to_bytes().to_vec().into(), value: value.into() }
    }

    /// The bits of the group are the mask there.
    #[test]
    fn what_a_list_denies_the_group_is_denied_to_everyone_of_another() {
        for name in [acl::ACCESS, acl::DEFAULT] {
            let xattr = list(name, &[(1, 6), (2, 6), (4, 0), (16, 6), (32, 4)]);
            let closed = list(name, &[(1, 6), (2, 6), (4, 0), (16, 0), (32, 0)]);
            let other = Owned { group: false, ..BOTH };
            assert_eq!(permitted_value(&xattr, other), Some(closed.value.to_vec()));
            assert_eq!(permitted_value(&xattr, BOTH), Some(xattr.value.to_vec()));
            if name == acl::ACCESS {
                let meta = Meta { mode: 0o664, xattrs: vec![xattr], ..Meta::default() };
                assert_eq!(permitted(&meta, other).0, 0o600);
            }
        }
    }

    /// The system takes no list that names a user and has no mask, as a file system without lists takes none at all.
    #[test]
    fn what_a_list_denies_stays_denied_if_the_list_is_not_taken() {
        use std::os::fd::AsFd;
        let place = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(place.path().join("file")).unwrap();
        let giver = Giver::new();
        let stat = rustix::fs::fstat(&file).unwrap();
        for (entries, expected) in [
            (&[(1, 6), (2, 0), (4, 4), (32, 4)][..], 0o600),
            (&[(1, 6), (2, 4), (4, 6), (8, 6), (32, 6)], 0o644),
            (&[(1, 6), (4, 6), (8, 0), (32, 6)], 0o600),
        ] {
            let meta = Meta {
                mode: 0o666,
                uid: stat.st_uid,
                gid: stat.st_gid,
                xattrs: vec![list(acl::ACCESS, entries)],
                ..Meta::default()
            };
            let refused = giver.give(Place::Open(file.as_fd()), &meta, Before::Nothing);
            assert_eq!((refused.0.len(), rustix::fs::fstat(&file).unwrap().st_mode & 0o7777), (1, expected));
        }
    }

    #[test]
    fn capabilities_go_to_their_owner_alone() {
        let xattr = Xattr { name: CAPABILITY.to_vec().into(), value: vec![1].into() };
        assert_eq!(permitted_value(&xattr, BOTH), Some(vec![1]));
        assert_eq!(permitted_value(&xattr, Owned { user: false, ..BOTH }), None);
    }
}
