//! See `weir_fuzz::wire_startup`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    (weir_fuzz::wire_startup::TARGET.check)(input);
});
