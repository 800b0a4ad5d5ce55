//! What a client answers to the authentication plugins: `mysql_native_password`, `caching_sha2_password`, and
//! `sha256_password` without TLS.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The first answer to `plugin` with this nonce of the server.
pub fn answer(plugin: &str, password: &str, nonce: &[u8]) -> Result<Vec<u8>, String> {
    if password.is_empty() {
        return Ok(Vec::new());
    }
    match plugin {
        "mysql_native_password" => Ok(native(password, nonce)),
        "caching_sha2_password" => Ok(sha2(password, nonce)),
        // Asks for the server's key: MySQL wants this plugin of some accounts that it does not have.
        "sha256_password" => Ok(vec![1]),
        "mysql_clear_password" => Err("the server asks for the password in clear".to_owned()),
        _ => Err(format!("no answer for the plugin `{plugin}`")),
    }
}

/// SHA1(password) XOR SHA1(nonce + SHA1(SHA1(password))).
fn native(password: &str, nonce: &[u8]) -> Vec<u8> {
    let sha1 = |data: &[u8]| digest(&SHA1_FOR_LEGACY_USE_ONLY, data).as_ref().to_vec();
    let stage1 = sha1(password.as_bytes());
    let mask = sha1(&[nonce, &sha1(&stage1)].concat());
    stage1.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

/// SHA256(password) XOR SHA256(SHA256(SHA256(password)) + nonce).
fn sha2(password: &str, nonce: &[u8]) -> Vec<u8> {
    let sha256 = |data: &[u8]| digest(&SHA256, data).as_ref().to_vec();
    let stage1 = sha256(password.as_bytes());
    let mask = sha256(&[sha256(&stage1).as_slice(), nonce].concat());
    stage1.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

/// The password for the full path without TLS: XORed with the nonce, then encrypted with the server's key.
pub fn encrypted(password: &str, nonce: &[u8], pem: &[u8]) -> Result<Vec<u8>, String> {
    let text = String::from_utf8_lossy(pem);
    let base64: String = text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let der = STANDARD.decode(base64.trim_end_matches('\0')).map_err(|error| format!("the server's key: {error}"))?;
    let key = PublicEncryptingKey::from_der(&der).map_err(|error| format!("the server's key: {error}"))?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|error| format!("the server's key: {error}"))?;
    let masked: Vec<u8> =
        password.bytes().chain([0]).zip(nonce.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    let mut sealed = vec![0; key.ciphertext_size()];
    let sealed = key
        .encrypt(&OAEP_SHA1_MGF1SHA1, &masked, &mut sealed, None)
        .map_err(|error| format!("encrypting: {error}"))?
        .to_vec();
    Ok(sealed)
}
