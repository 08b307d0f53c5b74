//! `njia_fuzz::dialect_toml::check` on any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| njia_fuzz::dialect_toml::check(data));
