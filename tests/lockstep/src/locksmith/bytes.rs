//! What an adversary holds, as bytes alone: files in a folder, for a program that knows nothing else.
//!
//! ```text
//! memory/PROCESS        what was in a process's memory
//! disk/SERVICE/RECORD   a service's disk: a file a record, named by the hexadecimal of the record's name
//! shares/INDEX          a custodian's share, unwrapped, with the header that it belongs to
//! snapshot              a snapshot of the keystore
//! names                 whom the vendor serves, "tenant user" a line: no secret
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bailee_core::cbor;
use bailee_core::crypto::keys::{ArchiveKey, Owner, Secret, subkey};
use bailee_core::crypto::{labels, seal};
use bailee_core::store::{Batch, MemoryStore, Read, Record, Store};
use bailee_core::wire::{B32, Header};

use super::{Host, StolenShare, open_host, open_snapshot};

/// The largest memory that is searched at every place, in bytes.
const MEMORY_BYTES: u64 = 1 << 20;
/// The largest file of any other kind, in bytes.
const FILE_BYTES: u64 = 1 << 30;

/// Everything that an adversary holds.
#[derive(Clone, Default)]
pub struct Bytes {
    /// Memories, by process.
    pub memories: BTreeMap<String, Vec<u8>>,
    /// Disks, by service.
    pub disks: BTreeMap<String, MemoryStore>,
    /// Shares.
    pub shares: Vec<StolenShare>,
    /// A snapshot.
    pub snapshot: Option<Vec<u8>>,
    /// Tenants and users.
    pub names: Vec<(String, String)>,
}

/// Something that came open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What it is: `account` or `block`.
    pub what: &'static str,
    /// Whose it is: tenant and user.
    pub owner: (String, String),
    /// What opened it.
    pub with: String,
}

/// The records whose names begin so.
fn records(disk: &MemoryStore, prefix: &[u8]) -> Vec<(Vec<u8>, Record)> {
    disk.scan(prefix, prefix, usize::MAX).unwrap_or_default()
}

impl Bytes {
    /// Tries every key that can be reached on everything that is sealed.
    pub fn open_all(&self) -> Vec<Opened> {
        let mut opened = Vec::new();
        let mut keys: Vec<(String, [u8; 32])> = self.windows().collect();
        for (tenant, user) in &self.names {
            for (with, key) in self.account_keys(tenant, user) {
                let owner = (tenant.clone(), user.clone());
                opened.push(Opened { what: "account", owner, with: with.clone() });
                keys.push((format!("the key of that account, by {with}"), key));
            }
        }
        for (owner, block) in self.blocks() {
            let fits = |(_, key): &&(String, [u8; 32])| open_block(key, &owner, &block);
            if let Some((with, _)) = keys.iter().find(fits) {
                opened.push(Opened { what: "block", owner: (owner.tenant, owner.user), with: with.clone() });
            }
        }
        opened
    }

    /// Every 32 bytes of every memory, and where they are.
    fn windows(&self) -> impl Iterator<Item = (String, [u8; 32])> + '_ {
        self.memories.iter().flat_map(|(process, memory)| {
            let at = move |(offset, bytes): (usize, &[u8])| {
                let mut window = [0; 32];
                window.copy_from_slice(bytes);
                (format!("the 32 bytes at {offset} of the memory of {process}"), window)
            };
            memory.windows(32).enumerate().map(at)
        })
    }

    /// The archive keys of a user that a root or shares give, each with what gave it.
    fn account_keys(&self, tenant: &str, user: &str) -> Vec<(String, [u8; 32])> {
        let mut found = Vec::new();
        for (service, disk) in &self.disks {
            for (with, root) in self.windows() {
                let host = Host { root, disk: disk.clone() };
                let key = open_host(&host, tenant, user);
                found.extend(key.map(|key| (format!("{with} and the disk of {service}"), key)));
            }
        }
        if let Some(snapshot) = &self.snapshot {
            let shares: Vec<&StolenShare> = self.shares.iter().collect();
            let key = open_snapshot(snapshot, &shares, tenant, user);
            found.extend(key.map(|key| (format!("{} shares and the snapshot", shares.len()), key)));
        }
        found
    }

    /// Every sealed block on every disk, and whose its name says it is (BAK-2).
    fn blocks(&self) -> Vec<(Owner, Vec<u8>)> {
        let mut blocks = Vec::new();
        for disk in self.disks.values() {
            for (name, block) in records(disk, b"archive/") {
                let named = name.get(8..name.len().saturating_sub(8)).unwrap_or_default();
                if let Ok((tenant, user)) = cbor::decode::<(String, String)>(named, named.len()) {
                    blocks.push((Owner { tenant, user, epoch: 0 }, block.to_vec()));
                }
            }
        }
        blocks
    }

    /// Writes them into a new folder.
    ///
    /// # Errors
    /// What could not be written, and why.
    pub fn write(&self, folder: &Path) -> Result<(), String> {
        make(folder)?;
        for (process, memory) in &self.memories {
            put(&folder.join("memory"), process, memory)?;
        }
        for (service, disk) in &self.disks {
            for (name, record) in records(disk, b"") {
                put(&folder.join("disk").join(service), &hexadecimal(&name), &record)?;
            }
        }
        for share in &self.shares {
            let bytes = cbor::encode(&(share.index, B32::from(share.value), &share.header));
            put(&folder.join("shares"), &share.index.to_string(), &bytes)?;
        }
        if let Some(snapshot) = &self.snapshot {
            put(folder, "snapshot", snapshot)?;
        }
        let names: String = self.names.iter().map(|(tenant, user)| format!("{tenant} {user}\n")).collect();
        put(folder, "names", names.as_bytes())
    }

    /// Reads them from a folder. What is not there, the adversary does not hold.
    ///
    /// # Errors
    /// What could not be read, and why.
    pub fn read(folder: &Path) -> Result<Bytes, String> {
        let names = String::from_utf8(get(&folder.join("names"), FILE_BYTES)?)
            .map_err(|_| format!("{}: expected text", folder.join("names").display()))?;
        let names = names.lines().filter_map(|line| line.split_once(' '));
        let mut bytes = Bytes { names: names.map(|(t, u)| (t.into(), u.into())).collect(), ..Bytes::default() };
        for (process, path) in list(&folder.join("memory"))? {
            bytes.memories.insert(process, get(&path, MEMORY_BYTES)?);
        }
        for (service, path) in list(&folder.join("disk"))? {
            let mut batch = Batch::default();
            for (name, record) in list(&path)? {
                let name = plain(&name).ok_or_else(|| format!("{}: expected hexadecimal", record.display()))?;
                batch.put(name, get(&record, FILE_BYTES)?);
            }
            let mut disk = MemoryStore::default();
            disk.apply(&batch).map_err(|error| format!("{}: {error}", path.display()))?;
            bytes.disks.insert(service, disk);
        }
        for (_, path) in list(&folder.join("shares"))? {
            let share = get(&path, FILE_BYTES)?;
            let (index, value, header) = cbor::decode::<(u8, B32, Header)>(&share, share.len())
                .map_err(|_| format!("{}: expected a share with its header", path.display()))?;
            bytes.shares.push(StolenShare { index, value: *value, header });
        }
        let snapshot = folder.join("snapshot");
        if snapshot.exists() {
            bytes.snapshot = Some(get(&snapshot, FILE_BYTES)?);
        }
        Ok(bytes)
    }
}

/// Opens a block as `spec/protocol.md` says that it is sealed (GEN-20, BAK-2), or does not.
fn open_block(key: &[u8; 32], owner: &Owner, block: &[u8]) -> bool {
    let key: ArchiveKey = Secret::take(&mut key.clone());
    let root = subkey(&key, labels::KEY_SEAL, owner);
    seal::open(&root, labels::SEAL_BLOCK, &cbor::encode(owner), block).is_ok()
}

fn make(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), String> {
    make(folder)?;
    let path = folder.join(name);
    fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

fn get(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let told = |error| format!("{}: {error}", path.display());
    let length = fs::metadata(path).map_err(told)?.len();
    if length > limit {
        return Err(format!("{}: {length} bytes; at most {limit} are read", path.display()));
    }
    fs::read(path).map_err(told)
}

/// What a folder holds, by name, in order; nothing if there is no such folder.
fn list(folder: &Path) -> Result<BTreeMap<String, std::path::PathBuf>, String> {
    if !folder.exists() {
        return Ok(BTreeMap::new());
    }
    let told = |error| format!("{}: {error}", folder.display());
    let mut entries = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(told)? {
        let entry = entry.map_err(told)?;
        entries.insert(entry.file_name().to_string_lossy().into_owned(), entry.path());
    }
    Ok(entries)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn plain(hexadecimal: &str) -> Option<Vec<u8>> {
    let digits = hexadecimal.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
