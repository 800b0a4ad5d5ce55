//! See `weir_fuzz::wire_session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    (weir_fuzz::wire_session::TARGET.check)(input);
});
