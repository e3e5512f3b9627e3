#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aire_fuzz_targets::airc::json(data));
