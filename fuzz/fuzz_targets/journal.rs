//! `njia_fuzz::journal::check` on any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| njia_fuzz::journal::check(data));
