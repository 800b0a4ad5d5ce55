//! See `weir_fuzz::mysql_session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    (weir_fuzz::mysql_session::TARGET.check)(input);
});
