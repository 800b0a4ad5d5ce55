//! See `weir_fuzz::wire_client`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    (weir_fuzz::wire_client::TARGET.check)(input);
});
