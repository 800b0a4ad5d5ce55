//! Logins as real servers and clients sent them, and what must hold for any other.

use proptest::prelude::*;

use super::capability::{Capabilities, LocalFiles, Protection, Terms};
use super::greeting::{Flavour, Greeting, NONCE_LEN};
use super::handshake::{First, HandshakeResponse, LOGIN_BYTES_MAX, read_first};
use super::packet::{HEADER_LEN, put_lenenc_bytes, put_packet};
use crate::refusal::Refusal;

/// MariaDB 10.11.19.
const MARIADB_GREETING: &str = "\
    640000000a352e352e352d31302e31312e31392d4d6172696144422d302b646562313275310023000000412946644878483a\
    00fef7080200ff81150000000000001d0000002b66445e2e67414b35662627006d7973716c5f6e61746976655f7061737377\
    6f726400";

/// `mariadb` (Connector/C 3.3.20), account `u`, database `d1`.
const MARIADB_RESPONSE: &str = "\
    d00000018ca2bf000000100021000000000000000000000000000000000000001d000000750014ee8bdd80340e1a32c15223\
    d22b404ffc9b9e7d576431006d7973716c5f6e61746976655f70617373776f7264007f035f6f73054c696e75780c5f636c69\
    656e745f6e616d650a6c69626d617269616462045f7069640532353031390f5f636c69656e745f76657273696f6e06332e33\
    2e3230095f706c6174666f726d067838365f36340c70726f6772616d5f6e616d65056d7973716c0c5f7365727665725f686f\
    7374093132372e302e302e31";

/// MySQL 9.7.4.
const MYSQL_GREETING: &str = "\
    4b0000000a392e372e342d32001d0000003742631707231d5300ffffff0200ffdf150000000000000000000036797b5d7a17\
    3333134d0c660063616368696e675f736861325f70617373776f726400";

/// `mysql` 9.7.4 without TLS, account `u`, database `d1`.
const MYSQL_RESPONSE: &str = "\
    cf0000018da2bf1900000001ff00000000000000000000000000000000000000000000007500202a5d4e9a21047766b55ba7\
    cff923684ec77322190b90fda6f4bb177eed4bbaea64310063616368696e675f736861325f70617373776f72640072045f70\
    6964053235313632095f706c6174666f726d067838365f3634035f6f73054c696e75780c5f636c69656e745f6e616d65086c\
    69626d7973716c076f735f7573657204726f6f740f5f636c69656e745f76657273696f6e05392e372e340c70726f6772616d\
    5f6e616d65056d7973716c";

/// `mysql` 9.7.4 asks for TLS.
const MYSQL_TLS_REQUEST: &str = "\
    200000018daabf1900000001ff0000000000000000000000000000000000000000000000";

/// `mariadb` asks a MySQL 9.7.4 for TLS.
const MARIADB_TLS_REQUEST: &str = "\
    200000018daabf0000001000210000000000000000000000000000000000000000000000";

const TERMS: Terms = Terms {
    listener: Protection::Plain,
    upstream: Protection::Plain,
    local_files: LocalFiles::Withheld,
    withheld: Capabilities::NONE,
};

pub(super) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn greeting(hex: &str) -> Greeting {
    Greeting::read(&bytes(hex)[HEADER_LEN..]).unwrap()
}

fn read(packet: &[u8], seq: u8, flavour: Flavour) -> Result<HandshakeResponse, Refusal> {
    match read_first(packet, seq, Protection::Plain, flavour)? {
        First::Response(response) => Ok(*response),
        other => panic!("not a login: {other:?}"),
    }
}

fn packet(seq: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_packet(&mut out, seq, payload);
    out
}

#[test]
fn greetings_of_real_servers() {
    let maria = greeting(MARIADB_GREETING);
    assert_eq!((maria.flavour(), maria.version_number()), (Flavour::MariaDb, Some(101_119)));
    assert_eq!((maria.thread_id, maria.nonce.len(), maria.status), (35, NONCE_LEN, 2));
    assert_eq!(maria.plugin, b"mysql_native_password");
    assert!(maria.capabilities.has(Capabilities::CACHE_METADATA.with(Capabilities::PROGRESS)));
    let mysql = greeting(MYSQL_GREETING);
    assert_eq!((mysql.flavour(), mysql.version_number()), (Flavour::MySql, Some(90_704)));
    assert_eq!((mysql.thread_id, mysql.nonce.len(), mysql.collation), (29, NONCE_LEN, 255));
    assert_eq!(mysql.plugin, b"caching_sha2_password");
    assert_eq!(mysql.capabilities.extended(), 0);
    assert!(mysql.capabilities.has(Capabilities::ZSTD.with(Capabilities::OPTIONAL_RESULTSET_METADATA)));
}

#[test]
fn versions_that_are_none() {
    let number = |version: &str| Greeting { version: version.into(), ..greeting(MYSQL_GREETING) }.version_number();
    assert_eq!(number("8.4.0"), Some(80_400));
    for odd in ["", "8", "8.4", "8.100.0", "4294967295.0.0", "99999999999.1.1", "x.1.2", "8..0"] {
        assert_eq!(number(odd), None, "{odd}");
    }
}

/// Rebuilt with what the server itself has, a greeting is the server's, byte for byte.
#[test]
fn a_greeting_differs_from_the_servers_in_its_capabilities_only() {
    for hex in [MARIADB_GREETING, MYSQL_GREETING] {
        let greeting = greeting(hex);
        assert_eq!(packet(0, &greeting.rebuild(greeting.capabilities)), bytes(hex));
        let offered = Capabilities::offered(greeting.capabilities, &TERMS).unwrap();
        let again = Greeting::read(&greeting.rebuild(offered)).unwrap();
        assert_eq!(again, Greeting { capabilities: offered, ..greeting.clone() });
        assert_eq!(again.flavour(), greeting.flavour());
    }
}

/// A fuzzer found it: a nonce of unusual length lost its end where no plugins were offered.
#[test]
fn a_nonce_is_whole_or_refused() {
    for len in [NONCE_LEN, 30, 253, 254] {
        let greeting = Greeting { nonce: vec![7; len], plugin: Vec::new(), ..greeting(MYSQL_GREETING) };
        for capabilities in [greeting.capabilities, greeting.capabilities.without(Capabilities::PLUGIN_AUTH)] {
            let again = Greeting::read(&greeting.rebuild(capabilities)).unwrap();
            assert_eq!(again.nonce, greeting.nonce);
        }
    }
    let mut endless = bytes(MYSQL_GREETING).split_off(HEADER_LEN);
    let end = endless.len() - b"\0caching_sha2_password\0".len();
    endless[end] = b'x';
    assert!(Greeting::read(&endless).is_err());
}

#[test]
fn logins_of_real_clients() {
    for (hex, flavour, plugin, client) in [
        (MARIADB_RESPONSE, Flavour::MariaDb, "mysql_native_password", "libmariadb"),
        (MYSQL_RESPONSE, Flavour::MySql, "caching_sha2_password", "libmysql"),
    ] {
        let login = read(&bytes(hex), 1, flavour).unwrap();
        assert_eq!((login.user.as_str(), login.database.as_deref()), ("u", Some("d1")));
        assert_eq!(login.plugin.as_deref(), Some(plugin));
        assert_eq!(login.attributes.named("_client_name").as_deref(), Some(client));
        assert_eq!(login.attributes.named("program_name").as_deref(), Some("mysql"));
        assert_eq!(login.len, bytes(hex).len());
        assert!(!login.capabilities.has(Capabilities::COMPRESS));
        // Rebuilt with all that the client asked for, a login is the client's, byte for byte.
        assert_eq!(packet(1, &login.rebuild(login.capabilities).unwrap()), bytes(hex));
    }
}

#[test]
fn a_login_goes_upstream_with_what_was_agreed() {
    for (server, client, flavour) in [
        (MARIADB_GREETING, MARIADB_RESPONSE, Flavour::MariaDb),
        (MYSQL_GREETING, MYSQL_RESPONSE, Flavour::MySql),
        (MARIADB_GREETING, MYSQL_RESPONSE, Flavour::MariaDb),
        (MYSQL_GREETING, MARIADB_RESPONSE, Flavour::MySql),
    ] {
        let offered = Capabilities::offered(greeting(server).capabilities, &TERMS).unwrap();
        let login = read(&bytes(client), 1, flavour).unwrap();
        let agreed = Capabilities::agreed(offered, login.capabilities, &TERMS).unwrap();
        let upstream = read(&packet(1, &login.rebuild(agreed).unwrap()), 1, flavour).unwrap();
        assert_eq!(upstream.capabilities, agreed);
        for hides in [Capabilities::CACHE_METADATA, Capabilities::MULTI_FACTOR, Capabilities::LOCAL_FILES] {
            assert!(!agreed.has(hides), "{hides:?} reaches the server");
        }
        assert!(agreed.has(Capabilities::MULTI_RESULTS.with(Capabilities::PLUGIN_AUTH)));
        let expected = HandshakeResponse { capabilities: agreed, len: upstream.len, ..login };
        assert_eq!(upstream, expected);
    }
}

#[test]
fn tls_is_asked_for_before_anything_is_said() {
    for hex in [MYSQL_TLS_REQUEST, MARIADB_TLS_REQUEST] {
        let request = bytes(hex);
        let first = read_first(&request, 1, Protection::Plain, Flavour::MySql);
        assert_eq!(first, Ok(First::Tls { len: 36 }));
        assert!(read_first(&request[..35], 1, Protection::Plain, Flavour::MySql) == Ok(First::More(36)));
        // Under TLS the same bytes are a login that is cut short.
        assert!(read_first(&request, 1, Protection::Tls, Flavour::MySql).is_err());
        assert!(read_first(&request, 2, Protection::Plain, Flavour::MySql).is_err());
    }
    let login = read(&bytes(MYSQL_RESPONSE), 1, Flavour::MySql).unwrap();
    let request = packet(1, &login.tls_request(login.capabilities));
    assert_eq!(read_first(&request, 1, Protection::Plain, Flavour::MySql), Ok(First::Tls { len: 36 }));
    // A whole login with the bit set: a server would upgrade and read another; the names in it came unprotected.
    let whole = packet(1, &login.rebuild(login.capabilities.with(Capabilities::SSL)).unwrap());
    assert!(read_first(&whole, 1, Protection::Plain, Flavour::MySql).is_err());
    assert!(matches!(read_first(&whole, 1, Protection::Tls, Flavour::MySql), Ok(First::Response(_))));
}

#[test]
fn old_clients_are_told() {
    // As the health checks of load balancers still send it: 16 bits of capabilities, then a user.
    let old = packet(1, b"\x00\x80\x00\x00\x01haproxy\x00\x00");
    let refusal = read_first(&old, 1, Protection::Plain, Flavour::MySql).unwrap_err();
    assert!(refusal.message.contains("before MySQL 4.1"), "{}", refusal.message);
    let mut insecure = bytes(MARIADB_RESPONSE);
    insecure[HEADER_LEN + 1] &= 0x7F;
    assert!(read(&insecure, 1, Flavour::MariaDb).is_err());
}

/// HAProxy's `mysql-check … post-41` sends neither plugin nor attributes.
#[test]
fn a_login_without_plugin_is_served() {
    let mut payload = vec![0x00, 0x82, 0, 0, 0, 0, 0, 1, 8];
    payload.extend_from_slice(&[0; 23]);
    payload.extend_from_slice(b"haproxy\0\0");
    let login = read(&packet(1, &payload), 1, Flavour::MySql).unwrap();
    assert_eq!((login.user.as_str(), login.plugin.clone(), login.database.clone()), ("haproxy", None, None));
    assert_eq!(login.rebuild(login.capabilities).unwrap(), payload);
}

#[test]
fn both_forms_of_the_authentication_data() {
    let login = read(&bytes(MYSQL_RESPONSE), 1, Flavour::MySql).unwrap();
    let short = login.capabilities.without(Capabilities::PLUGIN_AUTH_LENENC);
    let token = vec![7; 300];
    assert!(login.rebuild_with(short, &token).is_err());
    let with_token = packet(1, &login.rebuild_with(login.capabilities, &token).unwrap());
    assert_eq!(read(&with_token, 1, Flavour::MySql).unwrap().auth_response.bytes(), token);
    let again = read(&packet(1, &login.rebuild(short).unwrap()), 1, Flavour::MySql).unwrap();
    assert_eq!(again.auth_response, login.auth_response);
}

#[test]
fn a_database_that_cannot_be_passed_on_is_refused() {
    let login = read(&bytes(MYSQL_RESPONSE), 1, Flavour::MySql).unwrap();
    assert!(login.rebuild(login.capabilities.without(Capabilities::CONNECT_WITH_DB)).is_err());
    let without = HandshakeResponse { database: None, ..login };
    let again = read(&packet(1, &without.rebuild(without.capabilities).unwrap()), 1, Flavour::MySql).unwrap();
    assert!(again.database.is_none() && !again.capabilities.has(Capabilities::CONNECT_WITH_DB));
}

#[test]
fn lengths_that_lie_are_refused_and_cost_nothing() {
    let endless = [0xFF, 0xFF, 0xFF, 1];
    assert!(read_first(&endless, 1, Protection::Plain, Flavour::MySql).is_err());
    let login = read(&bytes(MYSQL_RESPONSE), 1, Flavour::MySql).unwrap();
    let bare = HandshakeResponse { database: None, plugin: Some(String::new()), ..login };
    let agreed = bare.capabilities.without(Capabilities::CONNECT_ATTRS);
    let mut payload = bare.rebuild(agreed).unwrap();
    payload[2] |= 0x10; // attributes follow after all
    for lie in [&[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F][..], &[0xFC, 0xFF, 0xFF], &[3, 0xFB, 0, 0]] {
        let mut lying = payload.clone();
        lying.extend_from_slice(lie);
        assert!(read(&packet(1, &lying), 1, Flavour::MySql).is_err(), "{lie:?}");
    }
    let mut many = payload.clone();
    put_lenenc_bytes(&mut many, &vec![0; 70_000]);
    assert!(many.len() < LOGIN_BYTES_MAX && read(&packet(1, &many), 1, Flavour::MySql).is_err());
}

proptest! {
    #[test]
    fn any_change_of_a_login_is_read_or_refused(
        which in 0_usize..3,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut packet = bytes([MARIADB_RESPONSE, MYSQL_RESPONSE, MYSQL_TLS_REQUEST][which]);
        for (place, byte) in changes {
            let place = place.index(packet.len());
            packet[place] = byte;
        }
        let cut = keep.index(packet.len() + 1);
        for protection in [Protection::Plain, Protection::Tls] {
            for flavour in [Flavour::MySql, Flavour::MariaDb] {
                match read_first(&packet[..cut], 1, protection, flavour) {
                    Ok(First::Response(login)) => {
                        prop_assert!(login.len <= cut);
                        let Ok(payload) = login.rebuild(login.capabilities) else { continue };
                        let mut again = Vec::new();
                        put_packet(&mut again, 1, &payload);
                        let unprotected = login.capabilities.has(Capabilities::SSL) && protection == Protection::Plain;
                        prop_assert!(!unprotected);
                        // A database that is empty goes without its bit; all else comes back.
                        match read_first(&again, 1, protection, flavour) {
                            Ok(First::Response(second)) => {
                                prop_assert_eq!(&second.user, &login.user);
                                prop_assert_eq!(&second.database, &login.database);
                                prop_assert_eq!(&second.plugin, &login.plugin);
                                prop_assert_eq!(&second.auth_response, &login.auth_response);
                                prop_assert_eq!(&second.attributes, &login.attributes);
                            }
                            other => prop_assert!(false, "rebuilt it reads as {:?}", other),
                        }
                    }
                    Ok(First::Tls { len }) => prop_assert!(len <= cut && protection == Protection::Plain),
                    Ok(First::More(len)) => prop_assert!(len == 0 || len > cut && len <= LOGIN_BYTES_MAX + HEADER_LEN),
                    Err(_) => {}
                }
            }
        }
    }

    #[test]
    fn any_change_of_a_greeting_is_read_or_refused(
        which in 0_usize..2,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut payload = bytes([MARIADB_GREETING, MYSQL_GREETING][which]).split_off(HEADER_LEN);
        for (place, byte) in changes {
            let place = place.index(payload.len());
            payload[place] = byte;
        }
        payload.truncate(keep.index(payload.len() + 1));
        if let Ok(greeting) = Greeting::read(&payload) {
            let again = Greeting::read(&greeting.rebuild(greeting.capabilities)).unwrap();
            prop_assert_eq!(&again.version, &greeting.version);
            prop_assert_eq!(&again.nonce, &greeting.nonce);
            prop_assert_eq!(again.capabilities, greeting.capabilities);
        }
    }
}
