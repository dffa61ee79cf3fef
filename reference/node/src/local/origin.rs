//! Where a version is made: on which host and machine, and by whom.

use std::fs;
use std::os::unix::ffi::OsStringExt;

use bailee_archive::limits::{HOST_BYTES, USER_BYTES};
use bailee_archive::{MachineId, Origin, escaped};

use super::failure::{Done, Failure, shown};
use super::home::Home;
use crate::exit::Exit;
use crate::random;

/// The file of the key store that says which machine this is: 32 hexadecimal digits and a line feed.
const MACHINE_FILE: &str = "machine";
/// Where Linux says what the host is called.
const HOST_FILE: &str = "/proc/sys/kernel/hostname";
/// What stands between the name of a host and its machine.
const MACHINE_MARK: char = '#';
/// Digits of a machine that are shown after the name of its host.
const SHOWN_DIGITS: usize = 4;
/// What a host is called that has no name of its own.
const NO_NAME: &[u8] = b"localhost";

/// Where this process makes versions, and notes of what is not known of it. A `host` that was given stands for itself: versions
/// of machines that do not last are told apart by that name alone.
pub(crate) fn here(home: &Home, host: Option<&str>) -> (Origin, Vec<String>) {
    let mut notes = Vec::new();
    let user = user();
    if let Some(host) = host {
        return (Origin { host: host.as_bytes().to_vec(), user, machine: None }, notes);
    }
    let host = host_name().unwrap_or_else(|| {
        notes.push("the name of this host is not known: name it with --host".into());
        NO_NAME.to_vec()
    });
    let machine = machine(home).map_err(|failure| notes.push(without_machine(&failure))).ok();
    (Origin { host, user, machine }, notes)
}

/// The name of a host and the beginning of its machine, as people are shown it and may name it.
pub(crate) fn with_machine(host: &[u8], machine: Option<MachineId>) -> String {
    let mut shown = escaped(host);
    if let Some(machine) = machine {
        shown.push(MACHINE_MARK);
        shown.push_str(&machine.to_string()[..SHOWN_DIGITS]);
    }
    shown
}

/// Whether a person who says this means the origin: the name of its host, or that and a beginning of its machine.
pub(crate) fn is_meant(origin: &Origin, said: &[u8]) -> bool {
    let with_machine = || {
        let mark = said.iter().rposition(|byte| *byte == MACHINE_MARK as u8)?;
        let digits = std::str::from_utf8(&said[mark + 1..]).ok().filter(|digits| digits.len() >= SHOWN_DIGITS)?;
        Some(said[..mark] == origin.host && origin.machine?.to_string().starts_with(digits))
    };
    said == origin.host || with_machine() == Some(true)
}

fn without_machine(failure: &Failure) -> String {
    let what = match failure {
        Failure::Because { what, .. } => what,
        Failure::ReaderLeft => "",
    };
    format!("the version does not say which machine made it, so `forget` has another group for it: {what}")
}

fn host_name() -> Option<Vec<u8>> {
    let name = fs::read(HOST_FILE).ok()?;
    let name = name.trim_ascii();
    (1..=HOST_BYTES).contains(&name.len()).then(|| name.to_vec())
}

/// The name of the user whose rights this process has; where the system's list has none, what the environment says, or the number.
fn user() -> Vec<u8> {
    let number = rustix::process::geteuid().as_raw();
    let listed = fs::read("/etc/passwd").ok().and_then(|list| listed_name(&list, number));
    let fits = |name: &Vec<u8>| (1..=USER_BYTES).contains(&name.len());
    let named = || std::env::var_os("USER").map(OsStringExt::into_vec);
    listed.filter(fits).or_else(|| named().filter(fits)).unwrap_or_else(|| number.to_string().into_bytes())
}

/// The name of a user in a list in the format of `/etc/passwd`.
fn listed_name(list: &[u8], number: u32) -> Option<Vec<u8>> {
    let number = number.to_string();
    list.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next()?;
        (fields.nth(1)? == number.as_bytes()).then(|| name.to_vec())
    })
}

/// The machine whose key store this is; it is drawn when it is first asked for.
fn machine(home: &Home) -> Done<MachineId> {
    let draw = || {
        let machine = random::machine().map_err(Failure::random)?;
        Ok(format!("{machine}\n").into_bytes())
    };
    let kept = home.kept(MACHINE_FILE, draw)?;
    parse(&kept).ok_or_else(|| {
        let what = format!("{} was damaged", shown(&home.folder().join(MACHINE_FILE)));
        Failure::new(Exit::Failure, what, "")
    })
}

fn parse(kept: &[u8]) -> Option<MachineId> {
    kept.strip_suffix(b"\n").and_then(MachineId::from_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number() {
        let list = b"root:x:0:0:root:/root:/bin/sh\n# a comment\nshort:x\nann:x:1000:100::/home/ann:\n";
        assert_eq!(listed_name(list, 0), Some(b"root".to_vec()));
        assert_eq!(listed_name(list, 1000), Some(b"ann".to_vec()));
        assert_eq!(listed_name(list, 100), None, "a group");
        assert_eq!(listed_name(b"", 0), None);
    }

    #[test]
    fn a_host_is_meant_by_its_name_or_with_its_machine() {
        let origin = |machine| Origin { host: b"web".to_vec(), user: Vec::new(), machine };
        let machine = Some(MachineId([0x1a; 16]));
        assert_eq!(with_machine(b"web", machine), "web#1a1a");
        assert_eq!(with_machine(b"we\nb", None), "we\\nb");
        for said in ["web", "web#1a1a", "web#1a1a1"] {
            assert!(is_meant(&origin(machine), said.as_bytes()), "{said}");
        }
        for said in ["", "we", "web2", "web#1a1", "web#1a1b", "web#", "other#1a1a", "#1a1a"] {
            assert!(!is_meant(&origin(machine), said.as_bytes()), "{said}");
        }
        assert!(is_meant(&origin(None), b"web") && !is_meant(&origin(None), b"web#1a1a"));
    }

    #[test]
    fn a_machine_is_read_as_it_is_written() {
        let machine = MachineId([0x0f; 16]);
        let written = format!("{machine}\n");
        assert_eq!(parse(written.as_bytes()), Some(machine));
        for damaged in
            ["", "\n", &written[1..], &format!("0{written}"), &written.replace('f', "x"), written.trim_end()]
        {
            assert_eq!(parse(damaged.as_bytes()), None, "{damaged:?}");
        }
    }
}
