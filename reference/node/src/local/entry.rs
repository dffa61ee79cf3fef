//! How an entry of a version is shown.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bailee_archive::tree::{Entry, EntryKind};
use bailee_archive::{TreePath, escaped};
use serde_json::{Value, json};

use super::when;

/// The name of its kind, for machines.
fn kind(entry: &Entry) -> &'static str {
    match entry.kind {
        EntryKind::File { .. } => "file",
        EntryKind::Directory => "directory",
        EntryKind::Symlink { .. } => "symlink",
        EntryKind::HardLink { .. } => "hardlink",
        EntryKind::Fifo => "fifo",
        EntryKind::Socket => "socket",
        EntryKind::Device { block: true, .. } => "block_device",
        EntryKind::Device { block: false, .. } => "character_device",
    }
}

/// The length of its content, in bytes; of a file alone.
pub(crate) fn length(entry: &Entry) -> Option<u64> {
    match &entry.kind {
        EntryKind::File { content, .. } => Some(content.size),
        _ => None,
    }
}

/// A path for machines: text where it is text; else escaped, with the bytes in hexadecimal beside it.
pub(crate) fn put_path(object: &mut Value, name: &str, path: &TreePath) {
    let bytes = if path.is_root() { b".".to_vec() } else { path.slashed() };
    put_bytes(object, name, &bytes);
}

/// A path of the system for machines, as [`put_path`].
pub(crate) fn put_system_path(object: &mut Value, name: &str, path: &Path) {
    put_bytes(object, name, path.as_os_str().as_bytes());
}

/// Bytes that are mostly text, for machines, as [`put_path`].
pub(crate) fn put_bytes(object: &mut Value, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object[name] = text.into(),
        Err(_) => {
            object[name] = escaped(bytes).into();
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            object[format!("{name}_hex")] = digits.into();
        }
    }
}

/// All of it, for machines.
pub(crate) fn object(entry: &Entry) -> Value {
    let meta = &entry.meta;
    let mut object = json!({"message_type": "entry", "path": null, "kind": kind(entry), "mode": format!("{:04o}", meta.mode),
        "uid": meta.uid, "gid": meta.gid, "mtime": when::exact(meta.mtime), "xattrs": meta.xattrs.len()});
    put_path(&mut object, "path", &entry.path);
    match &entry.kind {
        EntryKind::File { content, changed, sparse } => {
            object["size"] = content.size.into();
            object["sparse"] = (*sparse).into();
            object["changed_while_read"] = (*changed).into();
        }
        EntryKind::Symlink { target } => put_bytes(&mut object, "target", target),
        EntryKind::HardLink { to } => put_path(&mut object, "target", to),
        EntryKind::Device { major, minor, .. } => object["device"] = json!([major, minor]),
        _ => {}
    }
    object
}

/// A line as `ls -l` writes it, times in UTC.
pub(crate) fn long(entry: &Entry) -> String {
    let meta = &entry.meta;
    let size = match &entry.kind {
        EntryKind::Device { major, minor, .. } => format!("{major},{minor}"),
        _ => length(entry).unwrap_or(0).to_string(),
    };
    let pointer = match &entry.kind {
        EntryKind::Symlink { target } => format!(" -> {}", escaped(target)),
        EntryKind::HardLink { to } => format!(" = {to}"),
        _ => String::new(),
    };
    let (mode, time) = (mode(entry), when::seconds(meta.mtime));
    format!("{mode} {:>6} {:>6} {size:>13} {time} {}{pointer}", meta.uid, meta.gid, entry.path)
}

/// Kind and permissions in ten letters.
fn mode(entry: &Entry) -> String {
    let first = match entry.kind {
        EntryKind::File { .. } => '-',
        EntryKind::Directory => 'd',
        EntryKind::Symlink { .. } => 'l',
        EntryKind::HardLink { .. } => 'h',
        EntryKind::Fifo => 'p',
        EntryKind::Socket => 's',
        EntryKind::Device { block: true, .. } => 'b',
        EntryKind::Device { block: false, .. } => 'c',
    };
    let mut letters = String::from(first);
    for (shift, special, with, without) in [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')] {
        let bits = entry.meta.mode >> shift;
        letters.push(if bits & 4 != 0 { 'r' } else { '-' });
        letters.push(if bits & 2 != 0 { 'w' } else { '-' });
        letters.push(match (entry.meta.mode & special != 0, bits & 1 != 0) {
            (true, true) => with,
            (true, false) => without,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    letters
}

#[cfg(test)]
mod tests {
    use bailee_archive::tree::{Meta, Time};

    use super::*;

    fn entry(name: &[u8], mode: u32, kind: EntryKind) -> Entry {
        let mtime = Time { seconds: 1_700_000_000, nanoseconds: 5 };
        let meta = Meta { mode, uid: 1000, gid: 50, mtime, xattrs: Vec::new() };
        Entry { path: TreePath::root().join(name).unwrap(), meta, kind }
    }

    #[test]
    fn a_long_line_reads_as_ls_writes_it() {
        let link = entry(b"link", 0o777, EntryKind::Symlink { target: b"../x\n".to_vec() });
        assert_eq!(long(&link), "lrwxrwxrwx   1000     50             0 2023-11-14T22:13:20Z link -> ../x\\n");
        let modes = [(0o7777, "drwsrwsrwt"), (0o7000, "d--S--S--T"), (0o640, "drw-r-----"), (0, "d---------")];
        for (bits, letters) in modes {
            assert_eq!(mode(&entry(b"d", bits, EntryKind::Directory)), letters);
        }
    }

    #[test]
    fn a_name_that_is_no_text_keeps_its_bytes() {
        let fifo = object(&entry(b"a\xff", 0o600, EntryKind::Fifo));
        assert_eq!((&fifo["path"], &fifo["path_hex"]), (&json!("a\\xff"), &json!("61ff")));
        assert_eq!((&fifo["kind"], &fifo["mode"]), (&json!("fifo"), &json!("0600")));
        let plain = object(&entry("ä\n".as_bytes(), 0o600, EntryKind::Fifo));
        assert_eq!(plain["path"], json!("ä\n"));
        assert!(plain.get("path_hex").is_none());
    }
}
