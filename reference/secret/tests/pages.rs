//! GEN-32: what the kernel itself says of the pages under a secret.
#![cfg(target_os = "linux")]

use bailee_secret::{Protection, Secret, protection};

/// The kernel's flags of the mapping that holds an address: `lo` locked, `dd` not dumped.
fn flags_of(address: usize) -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/smaps").expect("Linux tells");
    let mut inside = false;
    for line in maps.lines() {
        if let Some(range) = range_of(line) {
            inside = range.contains(&address);
        } else if inside && let Some(flags) = line.strip_prefix("VmFlags:") {
            return flags.split_whitespace().map(str::to_owned).collect();
        }
    }
    panic!("no mapping holds the address");
}

/// The addresses of a mapping, if this is the line that opens its entry.
fn range_of(line: &str) -> Option<std::ops::Range<usize>> {
    let (start, end) = line.split(' ').next()?.split_once('-')?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

#[test]
fn the_kernel_confirms_what_protection_says() {
    let secret = Secret::<32>::take(&mut [7; 32]);
    let flags = flags_of(secret.expose().as_ptr().addr());
    assert!(flags.iter().any(|flag| flag == "dd"), "in dumps: {flags:?}");
    let locked = flags.iter().any(|flag| flag == "lo");
    assert_eq!(locked, protection() == Protection::Locked, "{flags:?}");
}

/// The check above can fail: ordinary memory has neither flag.
#[test]
fn ordinary_memory_is_neither_locked_nor_kept_out_of_dumps() {
    let ordinary = vec![0u8; 1 << 20];
    let flags = flags_of(ordinary.as_ptr().addr());
    assert!(flags.iter().all(|flag| flag != "dd" && flag != "lo"), "{flags:?}");
}

/// Secrets share pages: thousands of them need few regions, and each has its own bytes.
#[test]
fn thousands_of_secrets_share_pages_and_no_byte() {
    let secrets: Vec<_> = (0..5_000u64)
        .map(|number| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            Secret::take(&mut bytes)
        })
        .collect();
    for (number, secret) in (0..5_000u64).zip(&secrets) {
        assert_eq!(secret.expose()[..8], number.to_be_bytes());
    }
    let pages: std::collections::BTreeSet<_> =
        secrets.iter().map(|secret: &Secret<32>| secret.expose().as_ptr().addr() / 4096).collect();
    assert!(pages.len() <= 5_000 / 32, "{} pages", pages.len());
}
