//! Fuzzes `block`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bailee_fuzz::targets::archive::block(data));
