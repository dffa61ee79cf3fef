//! A damaged file is an error, or reads as it was; never a panic, never something else.

use bailee_core::store::{Batch, Store};
use bailee_store::RedbStore;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::faulty::Faulty;
use crate::subjects::{Records, change, contents};

const BATCHES: u8 = 24;

/// Batches with small and large records.
fn batches() -> impl Iterator<Item = Batch> {
    (0..BATCHES).map(|at| {
        let mut batch = Batch::default();
        batch.put([b'a', at], vec![at; 150]);
        batch.put([b'b', at % 3], vec![at; 5_000]);
        batch
    })
}

/// The bytes of a file, and its records. Either closed, or as a process that was killed leaves it.
fn image(closed: bool) -> (Vec<u8>, Records) {
    let medium = Faulty::default();
    let mut store = RedbStore::on_medium(medium.clone(), "to be damaged").unwrap();
    let mut records = Records::new();
    for batch in batches() {
        store.apply(&batch).unwrap();
        change(&mut records, &batch);
    }
    if !closed {
        return (medium.live(), records);
    }
    drop(store);
    (medium.live(), records)
}

/// What a damaged file is taken for.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Refused(String),
    AsItWas,
    Wrong,
}

fn seen(image: Vec<u8>, records: &Records) -> Seen {
    let read = RedbStore::on_medium(Faulty::holding(image), "damaged").and_then(|store| contents(&store));
    match read {
        Err(error) => Seen::Refused(error.to_string()),
        Ok(found) if found == *records => Seen::AsItWas,
        Ok(_) => Seen::Wrong,
    }
}

/// What redb alone, without a check at the door, reads from the file.
fn unchecked(image: Vec<u8>) -> Option<Records> {
    const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("bailee records 1");
    let database = Database::builder().create_with_backend(Faulty::holding(image)).ok()?;
    let table = database.begin_read().ok()?.open_table(RECORDS).ok()?;
    let entries =
        table.iter().ok()?.map(|entry| entry.map(|(name, record)| (name.value().to_vec(), record.value().to_vec())));
    entries.collect::<Result<_, _>>().ok()
}

/// Every byte of the header, and every 61st after it; a step that no size of a field divides.
fn places(length: usize) -> impl Iterator<Item = usize> {
    (0..512).chain((512..length).step_by(61))
}

/// How often a changed byte was refused, how often it did not matter, and which changes were not noticed.
fn one_byte_changed(image: &[u8], records: &Records) -> (usize, usize, Vec<(usize, u8)>) {
    assert_eq!(seen(image.to_vec(), records), Seen::AsItWas);
    let (mut refused, mut as_it_was, mut wrong) = (0, 0, Vec::new());
    for at in places(image.len()) {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = image.to_vec();
            damaged[at] ^= flip;
            match seen(damaged, records) {
                Seen::Refused(told) => {
                    assert!(told.starts_with("the store damaged cannot be opened: "), "{told}");
                    refused += 1;
                }
                Seen::AsItWas => as_it_was += 1,
                Seen::Wrong => wrong.push((at, flip)),
            }
        }
    }
    (refused, as_it_was, wrong)
}

#[test]
fn one_changed_byte_of_a_closed_file_is_noticed_or_does_not_matter() {
    let (image, records) = image(true);
    let (refused, as_it_was, wrong) = one_byte_changed(&image, &records);
    assert_eq!(wrong, []);
    assert!(refused > 1_000 && as_it_was > 100, "{refused} {as_it_was}");
}

#[test]
fn of_a_file_that_was_not_closed_one_bit_is_not_covered() {
    let (image, records) = image(false);
    let (refused, as_it_was, wrong) = one_byte_changed(&image, &records);
    // The lowest bit of this byte says which of the last two commits is the newer one.
    assert_eq!(wrong, [(9, 0x01)]);
    let mut damaged = image;
    damaged[9] ^= 0x01;
    let store = RedbStore::on_medium(Faulty::holding(damaged), "damaged").unwrap();
    let mut before = Records::new();
    batches().take(usize::from(BATCHES) - 1).for_each(|batch| change(&mut before, &batch));
    assert_eq!(contents(&store).unwrap(), before);
    assert!(refused > 1_000 && as_it_was > 100, "{refused} {as_it_was}");
}

#[test]
fn redb_alone_is_seen_to_read_something_else() {
    let (image, records) = image(true);
    // In the middle of a record: elsewhere redb alone may abort the process.
    let in_a_record = |at: &usize| {
        let around = &image[at.saturating_sub(60)..(at + 60).min(image.len())];
        around[0] > 0 && around.iter().all(|byte| *byte == around[0])
    };
    let wrong = places(image.len()).filter(in_a_record).filter(|at| {
        let mut damaged = image.clone();
        damaged[*at] ^= 0x01;
        unchecked(damaged).is_some_and(|found| found != records)
    });
    assert!(wrong.count() > 10);
}

#[test]
fn a_file_cut_short_or_made_longer_is_refused_or_reads_as_it_was() {
    let (image, records) = image(true);
    for length in (1..image.len()).step_by(1_009).chain((4_096..image.len()).step_by(4_096)) {
        let told = seen(image[..length].to_vec(), &records);
        assert!(matches!(told, Seen::Refused(_)), "{length} bytes of {}: {told:?}", image.len());
    }
    for more in [1, 511, 4_096, 1 << 20] {
        let longer = [&image[..], &vec![0; more]].concat();
        assert_ne!(seen(longer, &records), Seen::Wrong, "{more}");
    }
}

#[test]
fn a_page_put_in_the_place_of_another_is_noticed_or_does_not_matter() {
    let (image, records) = image(true);
    let pages = image.len() / 4_096;
    let mut refused = 0;
    for (from, to) in (1..pages).flat_map(|from| (0..pages).map(move |to| (from, to))) {
        let mut damaged = image.clone();
        damaged.copy_within(from * 4_096..(from + 1) * 4_096, to * 4_096);
        match seen(damaged, &records) {
            Seen::Wrong => panic!("page {from} in the place of {to} is not noticed"),
            Seen::Refused(_) => refused += 1,
            Seen::AsItWas => {}
        }
    }
    assert!(refused > pages, "{refused}");
}
