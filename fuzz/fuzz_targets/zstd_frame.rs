//! Fuzzes `zstd_frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bailee_fuzz::targets::archive::zstd_frame(data));
