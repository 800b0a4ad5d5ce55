//! See `weir_fuzz::mysql_startup`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    (weir_fuzz::mysql_startup::TARGET.check)(input);
});
