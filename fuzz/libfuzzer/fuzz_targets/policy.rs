//! See `weir_fuzz::policy`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    (weir_fuzz::policy::TARGET.check)(input);
});
