//! Fuzzes `device_disk`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bailee_fuzz::targets::stored::device_disk(data));
