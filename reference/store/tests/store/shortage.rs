//! A full disk: the batch is not taken, nothing changes, and work goes on when there is room.

use bailee_core::store::{Batch, NotApplied, Read, Store};
use bailee_store::RedbStore;

use crate::faulty::{Faulty, Reaches, Shortage};
use crate::subjects::{Records, change, contents};

fn batch(at: u32) -> Batch {
    let mut batch = Batch::default();
    batch.put(at.to_be_bytes(), vec![at as u8; 3_000]);
    batch.put("last", at.to_be_bytes().to_vec());
    batch
}

/// Fills a store until a batch is refused, and goes on: what it held at the end.
fn fill_and_go_on(shortage: fn(&Faulty) -> Shortage) -> Records {
    let medium = Faulty::default();
    let mut store = RedbStore::on_medium(medium.clone(), "a full disk").unwrap();
    let mut records = Records::new();
    let mut at = 0;
    let take = |store: &mut RedbStore, records: &mut Records, at: u32| match store.apply(&batch(at)) {
        Ok(()) => {
            change(records, &batch(at));
            Ok(())
        }
        Err(NotApplied::Failed(failed)) => Err(failed.to_string()),
        Err(conflict) => panic!("{conflict}"),
    };
    (0..20).for_each(|first| take(&mut store, &mut records, first).unwrap());
    medium.short_of(Some(shortage(&medium)));
    let told = loop {
        at += 1;
        assert!(at < 1_000, "the medium is never full");
        if let Err(told) = take(&mut store, &mut records, 20 + at) {
            break told;
        }
    };
    assert!(
        told.starts_with("the store a full disk: writing a batch: ") && told.contains("no storage space"),
        "{told}"
    );
    assert_eq!(contents(&store).unwrap(), records, "reads go on while it is full");
    take(&mut store, &mut records, 20 + at).unwrap_err();
    assert_eq!(contents(&store).unwrap(), records);
    medium.short_of(None);
    (0..50).for_each(|more| take(&mut store, &mut records, 20 + at + more).unwrap());
    assert_eq!(contents(&store).unwrap(), records);
    drop(store);
    let image = medium.after_power_cut(Reaches::Nothing);
    let again = RedbStore::on_medium(Faulty::holding(image), "a full disk").unwrap();
    assert_eq!(contents(&again).unwrap(), records);
    records
}

#[test]
fn a_file_that_may_not_grow_refuses_and_goes_on() {
    let records = fill_and_go_on(|medium| Shortage::OfLength(medium.live().len() as u64));
    assert!(records.len() > 70, "{}", records.len());
}

#[test]
fn a_file_whose_new_pages_find_no_room_refuses_and_goes_on() {
    let records = fill_and_go_on(|medium| Shortage::OfPages(medium.pages() + 3));
    assert!(records.len() > 70, "{}", records.len());
}

#[test]
fn a_handle_of_another_worker_goes_on_too() {
    let medium = Faulty::default();
    let mut one = RedbStore::on_medium(medium.clone(), "a full disk").unwrap();
    let mut two = one.clone();
    one.apply(&batch(1)).unwrap();
    medium.short_of(Some(Shortage::OfLength(0)));
    medium.short_of(Some(Shortage::OfPages(0)));
    let refused = (2..100).find(|at| one.apply(&batch(*at)).is_err()).unwrap();
    assert_eq!(two.get(b"last").unwrap().as_deref(), Some(&(refused - 1).to_be_bytes()[..]));
    medium.short_of(None);
    two.apply(&batch(refused)).unwrap();
    assert_eq!(one.get(b"last").unwrap().as_deref(), Some(&refused.to_be_bytes()[..]));
}
