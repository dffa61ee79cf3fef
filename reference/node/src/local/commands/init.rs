//! `bailee init`: a new archive, or the key of an old one.

use std::io::{self, IsTerminal};
use std::path::Path;

use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use crate::exit::Exit;
use crate::local::code::{self, TYPED_BYTES};
use crate::local::common::Common;
use crate::local::engine::{self, Trial};
use crate::local::entry::put_system_path;
use crate::local::failure::{Done, Failure, shown};
use crate::local::prompt;
use crate::local::record::{Record, standalone};
use crate::local::session::Session;
use crate::random;
use bailee_archive::ArchiveKeys;
use bailee_core::crypto::keys::ArchiveKey;

/// Makes an archive and its key, keeps the key in the key store and prints its recovery code, once.
///
/// Whoever has the recovery code reads the archive, and nobody without it does, once the key store is lost: write it down and
/// keep it away from both. The key store is $BAILEE_HOME, else $XDG_DATA_HOME/bailee, else ~/.local/share/bailee.
#[derive(Args, Debug)]
pub(crate) struct Init {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Store the key of an archive that exists: its recovery code is asked for, or read from standard input. Where the key is there,
    /// this only says whether the code is right.
    #[arg(long)]
    recover: bool,
}

impl Init {
    pub(crate) fn run(&self, session: &mut Session<'_>) -> Done<Exit> {
        if self.recover { recover(session) } else { create(session) }
    }
}

fn create(session: &mut Session<'_>) -> Done<Exit> {
    let place = session.place();
    if !engine::is_free(place)? {
        return Err(refusal(session));
    }
    let key = random::archive_key().map_err(Failure::random)?;
    let had_folder = place.exists();
    let id = engine::create(place, ArchiveKeys::new(&key, &standalone()))?;
    let record = Record::new(id, key);
    session.home.save(&record).map_err(|failure| without_key(failure, place, !had_folder))?;
    session.remember_place(id);
    let code = code::encode(&record.key);
    let kept = session.home.path(id);
    session.report.note(&format!("The archive {id} is made in {}.", shown(place)));
    session.report.note(&format!("Its key is kept in {}.", shown(&kept)));
    session
        .report
        .note("This is its recovery code. It is not shown again: write it down, and keep it away from this machine.");
    let object = || json!({"message_type": "recovery_code", "code": *code});
    let said = session.report.data(object, || code::grouped(&code).to_string()).and_then(|()| session.report.flush());
    if said.is_err() {
        // A code that nobody saw is worth an error, even where the reader only went away.
        let what = "the recovery code could not be written to standard output";
        let next = format!("remove {} and {} and make the archive again", shown(place), shown(&kept));
        return Err(Failure::new(Exit::Failure, what, next));
    }
    let mut object = json!({"archive_id": id.to_string()});
    put_system_path(&mut object, "key_file", &kept);
    session.report.summary(object, "")?;
    Ok(Exit::Ok)
}

/// An archive whose key is not kept is one that nobody can open: it goes.
fn without_key(failure: Failure, place: &Path, with_folder: bool) -> Failure {
    let Failure::Because { exit, what, next } = failure else { return failure };
    match engine::discard(place, with_folder) {
        Ok(()) => {
            let what = format!("{what}; the archive was removed again, as nobody could have opened it");
            let next = if next.is_empty() { "mend that and make the archive again".into() } else { next };
            Failure::new(exit, what, next)
        }
        Err(error) => {
            let what = format!("{what}; and the archive could not be removed again: {error}");
            Failure::new(exit, what, format!("remove {}: nobody can open what is in it", shown(place)))
        }
    }
}

/// Why no archive is made in this folder.
fn refusal(session: &Session<'_>) -> Failure {
    let place = session.place();
    match engine::candidates(place) {
        Ok(_) => Failure::usage(
            format!("there is an archive in {} already", shown(place)),
            "name another folder, or enter the recovery code of this archive with --recover",
        ),
        Err(_) => Failure::usage(
            format!("{} has something in it that is no archive", shown(place)),
            "name a folder that is empty or absent",
        ),
    }
}

fn recover(session: &mut Session<'_>) -> Done<Exit> {
    let place = session.place();
    let ids = engine::candidates(place)?;
    let (record, trial) = engine::try_key(place, &ids, ask()?)?;
    let id = record.archive;
    let known = session.home.load(id)?;
    let is_known = known.as_ref().is_some_and(|known| known.key == record.key);
    match trial {
        Trial::Wrong => return Err(Failure::wrong_key(place)),
        _ if is_known => {
            let text = "The key store has this key already: the code is right.";
            session.report.summary(json!({"archive_id": id.to_string(), "known": true}), text)?;
            return Ok(Exit::Ok);
        }
        Trial::Right => {}
        // Nothing can tell but the key that the archive was made with.
        Trial::Nothing if known.is_some() => return Err(Failure::wrong_key(place)),
        Trial::Nothing => {
            session
                .report
                .warn(None, "the archive is empty: whether this is its code will show with the first backup");
        }
    }
    session.home.save(&record)?;
    session.remember_place(id);
    let kept = session.home.path(id);
    let text = format!("The key of archive {id} is kept in {}.", shown(&kept));
    let mut object = json!({"archive_id": id.to_string(), "known": false});
    put_system_path(&mut object, "key_file", &kept);
    session.report.summary(object, &text)?;
    Ok(Exit::Ok)
}

fn ask() -> Done<ArchiveKey> {
    let typed: Zeroizing<String> = prompt::secret("Recovery code (not shown): ", TYPED_BYTES)
        .map_err(|error| Failure::usage(format!("reading the recovery code: {error}"), ""))?;
    code::decode(&typed).map_err(|error| {
        let next = if io::stdin().is_terminal() { "type it again" } else { "give the code on standard input" };
        Failure::usage(error.to_string(), next)
    })
}
