//! See `weir_fuzz::sql`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    (weir_fuzz::sql::TARGET.check)(input);
});
