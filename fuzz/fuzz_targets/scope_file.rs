//! Fuzzes `scope_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bailee_fuzz::targets::text::scope_file(data));
