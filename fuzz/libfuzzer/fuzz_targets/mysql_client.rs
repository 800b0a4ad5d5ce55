//! See `weir_fuzz::mysql_client`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    (weir_fuzz::mysql_client::TARGET.check)(input);
});
