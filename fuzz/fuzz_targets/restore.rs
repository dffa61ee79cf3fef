//! Fuzzes `restore`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bailee_fuzz::targets::restore::into_a_folder(data));
