//! The first packets of a MySQL connection from either side, the exchange that authenticates, and what ends it.
//!
//! The first byte says which part is meant: 0 the greeting, 1 the login, 2 the exchange, 3 a change of the user, 4 OK
//! and ERR. The second byte is its setting: which server, which legs have TLS, which plugin the login named. In an
//! exchange the rest is packets: a byte with the side in its highest bit and the length in the others, then the payload;
//! a length of 127 stands for 256 bytes that nobody can read.

use weir_wire::mysql::auth::{AuthStep, Exchange, Legs, Start, Turn};
use weir_wire::mysql::capability::{Capabilities, LocalFiles, Protection, Terms};
use weir_wire::mysql::change_user::ChangeUser;
use weir_wire::mysql::error::{ErrPacket, OkPacket, put_error, read_error};
use weir_wire::mysql::greeting::Greeting;
use weir_wire::mysql::handshake::{First, Flavour, HandshakeResponse, LOGIN_BYTES_MAX, Secret, read_first};
use weir_wire::mysql::packet::{HEADER_LEN, Packet, Scan, put_packet};
use weir_wire::{Refusal, WireSide};

use crate::mutate::Form;
use crate::{Target, Traces};

/// What is not whole yet is told apart from what never will be; what goes on means what was read; nobody gets a
/// capability that another does not have; a password in clear goes under TLS on both legs only; each leg's packets
/// are numbered without a gap.
pub const TARGET: Target = Target {
    name: "mysql-startup",
    check,
    form: Form::Bytes,
    dictionary: WORDS,
    seeds,
    input_bytes_max: 12_000,
    memory_bytes_max: (1 << 20, 64),
    time_ms_max: 250,
};

const WORDS: &[&[u8]] = &[
    b"\x0a8.4.0\0",
    b"5.5.5-10.11.19-MariaDB\0",
    b"\x8d\xa2\xbf\x19",
    b"\x8c\xa2\xbf\0",
    b"\0\x82\0\0",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\0",
    b"\xfe\xff\xff\xff\xff\0\0\0\0",
    b"\xfb",
    b"\xfc\xff\xff",
    b"\x2d",
    b"'root'\0",
    b"alice\0",
    b"mysql_native_password\0",
    b"caching_sha2_password\0",
    b"sha256_password\0",
    b"client_ed25519\0",
    b"parsec\0",
    b"dialog\0",
    b"mysql_clear_password\0",
    b"\xfe",
    b"\x02\x01\x03",
    b"\x02\x01\x04",
    b"\x81\x01",
    b"\x81\x02",
    b"\x87secret\0",
    b"\x05\x01key.",
    b"\x07\0\0\0\x02\0\0\0",
    b"\x0e\0\0\0\x02\x40\0\0\0\x05\x01\x03\x02d1",
    b"\x09\xff\x15\x04#28000",
    b"\xff\xff\xff\x01\x01\x02\0\0\0\0",
];

fn check(input: &[u8]) -> Traces {
    let mut traces = Traces::default();
    let (Some(part), Some(setting)) = (input.first(), input.get(1)) else { return traces };
    let bytes = &input[2..];
    traces.add("part", part % 5);
    match part % 5 {
        0 => greeting(bytes, *setting, &mut traces),
        1 => login(bytes, *setting, &mut traces),
        2 => exchange(bytes, *setting, &mut traces),
        3 => change_user(bytes, *setting, &mut traces),
        _ => ends(bytes, *setting, &mut traces),
    }
    traces
}

fn protection(tls: bool) -> Protection {
    if tls { Protection::Tls } else { Protection::Plain }
}

fn flavour(setting: u8) -> Flavour {
    if setting & 1 == 0 { Flavour::MySql } else { Flavour::MariaDb }
}

fn terms(setting: u8) -> Terms {
    Terms {
        listener: protection(setting & 2 != 0),
        upstream: protection(setting & 4 != 0),
        local_files: if setting & 8 == 0 { LocalFiles::Withheld } else { LocalFiles::Offered },
        withheld: if setting & 16 == 0 { Capabilities::NONE } else { Capabilities::DEPRECATE_EOF },
    }
}

/// Each capability by itself: which of them come together is no news.
fn told(capabilities: Capabilities, about: &str, traces: &mut Traces) {
    let bits = (0..64).filter(|bit| capabilities.bits() >> bit & 1 == 1);
    bits.for_each(|bit| traces.add(about, bit));
}

/// A refusal without the names in it.
fn kind(refusal: &Refusal) -> Option<&str> {
    refusal.message.split('`').next()
}

/// What would hide something, whatever the peers say.
const HIDES: [Capabilities; 6] = [
    Capabilities::COMPRESS,
    Capabilities::ZSTD,
    Capabilities::OPTIONAL_RESULTSET_METADATA,
    Capabilities::CACHE_METADATA,
    Capabilities::NO_SCHEMA,
    Capabilities::MULTI_FACTOR,
];

fn greeting(bytes: &[u8], setting: u8, traces: &mut Traces) {
    let greeting = match Greeting::read(bytes) {
        Ok(greeting) => greeting,
        Err(error) => return traces.add_error(&error),
    };
    traces.add("flavour", (greeting.flavour(), greeting.version_number().is_some(), greeting.plugin.is_empty()));
    let terms = terms(setting);
    let offered = match Capabilities::offered(greeting.capabilities, &terms) {
        Ok(offered) => offered,
        Err(refusal) => return traces.add("refused", kind(&refusal)),
    };
    HIDES.iter().for_each(|hides| assert!(!offered.has(*hides), "{hides:?} is offered"));
    assert!(greeting.capabilities.with(Capabilities::SSL).has(offered), "more is offered than the server has");
    let again = Greeting::read(&greeting.rebuild(offered)).expect("a rebuilt greeting is one");
    let plugin = if offered.has(Capabilities::PLUGIN_AUTH) { greeting.plugin.clone() } else { Vec::new() };
    assert_eq!(again, Greeting { capabilities: offered, plugin, ..greeting });
    told(offered, "offered", traces);
}

fn login(bytes: &[u8], setting: u8, traces: &mut Traces) {
    let (leg, flavour) = (protection(setting & 32 != 0), flavour(setting));
    let whole = read_first(bytes, 1, leg, flavour);
    // However the bytes arrive, the first answer that is not "more" is the answer.
    for end in (0..bytes.len()).filter(|end| *end < 300 || end % 97 == 0) {
        match read_first(&bytes[..end], 1, leg, flavour) {
            Ok(First::More(needed)) => assert!(needed == 0 || needed > end && needed <= LOGIN_BYTES_MAX + HEADER_LEN),
            early => {
                assert_eq!(early, whole, "{end} bytes were read otherwise than all");
                break;
            }
        }
    }
    let login = match whole {
        Ok(First::Response(login)) => *login,
        Ok(First::Tls { len }) => {
            assert!(len <= bytes.len() && leg == Protection::Plain, "TLS inside of TLS");
            return traces.add("first", "tls");
        }
        Ok(First::More(_)) => return traces.add("first", "more"),
        Err(refusal) => return traces.add("refused", kind(&refusal)),
    };
    assert!(login.len <= bytes.len());
    let unprotected = leg == Protection::Plain && login.capabilities.has(Capabilities::SSL);
    assert!(!unprotected, "a login that asks for TLS is read without it");
    let quoted = login.user.len() > 1 && login.user.starts_with('\'') && login.user.ends_with('\'');
    assert!(!quoted, "the server reads `{}` otherwise", login.user);
    traces.add("login", (login.user.is_empty(), login.database.is_some(), login.plugin.as_deref().map(str::is_empty)));
    traces.add("attributes", login.attributes.pairs().count().min(9));
    rebuilt(&login, setting, traces);
}

/// What goes upstream reads as what was read, and asks for no more than was agreed.
fn rebuilt(login: &HandshakeResponse, setting: u8, traces: &mut Traces) {
    let terms = terms(setting);
    let server = Capabilities::from_bits(u64::MAX - u64::from(setting & 1));
    let offered = Capabilities::offered(server, &terms).expect("a server of today");
    let agreed = Capabilities::agreed(offered, login.capabilities, &terms).expect("a login is of today");
    HIDES.iter().for_each(|hides| assert!(!agreed.has(*hides), "{hides:?} reaches the server"));
    assert_eq!(agreed.has(Capabilities::SSL), terms.upstream == Protection::Tls);
    assert!(login.capabilities.with(Capabilities::SSL).has(agreed), "the server is asked for more than by the client");
    told(agreed, "agreed", traces);
    let payload = match login.rebuild(agreed) {
        Ok(payload) => payload,
        Err(refusal) => return traces.add("not rebuilt", kind(&refusal)),
    };
    let mut packet = Vec::new();
    put_packet(&mut packet, 1, &payload);
    match read_first(&packet, 1, Protection::Tls, flavour(setting)) {
        Ok(First::Response(again)) => {
            assert_eq!((&again.user, &again.database), (&login.user, &login.database));
            assert_eq!((&again.auth_response, again.collation), (&login.auth_response, login.collation));
            if agreed.has(Capabilities::PLUGIN_AUTH) {
                assert_eq!(again.plugin, login.plugin);
            }
            if agreed.has(Capabilities::CONNECT_ATTRS) {
                assert_eq!(again.attributes, login.attributes);
            }
            let expected = match login.database {
                Some(_) => agreed,
                None => agreed.without(Capabilities::CONNECT_WITH_DB),
            };
            assert_eq!(again.capabilities, expected);
        }
        other => panic!("a rebuilt login reads as {other:?}"),
    }
    let mut request = Vec::new();
    put_packet(&mut request, 1, &login.tls_request(agreed));
    assert_eq!(read_first(&request, 1, Protection::Plain, flavour(setting)), Ok(First::Tls { len: 36 }));
}

/// The plugins that a login of an exchange can name.
const PLUGINS: [Option<&str>; 6] = [
    None,
    Some("mysql_native_password"),
    Some("caching_sha2_password"),
    Some("sha256_password"),
    Some("mysql_clear_password"),
    Some("something_else"),
];

/// As long as a password under a key of 2048 bits.
const CIPHERTEXT: &[u8] = &[7; 256];

/// What each side has been told so far.
struct Told {
    seq: u8,
    payloads: Vec<Vec<u8>>,
}

impl Told {
    fn hear(&mut self, mut bytes: &[u8]) {
        while let Ok(Scan::Whole(packet)) = Packet::scan(bytes, LOGIN_BYTES_MAX, WireSide::Upstream) {
            assert_eq!(packet.seq, self.seq, "a packet is numbered out of order");
            self.seq = self.seq.wrapping_add(1);
            self.payloads.push(packet.payload().into_owned());
            bytes = &bytes[packet.frame_len..];
        }
        assert!(bytes.is_empty(), "a packet in part");
    }
}

fn exchange(bytes: &[u8], setting: u8, traces: &mut Traces) {
    let legs = Legs { client: protection(setting & 1 != 0), upstream: protection(setting & 2 != 0) };
    let plugin = PLUGINS[usize::from(setting >> 2) % PLUGINS.len()];
    let start = Start {
        plugin,
        auth_response: b"first",
        nonce: b"01234567890123456789",
        agreed: Capabilities::SESSION_TRACK,
        legs,
        client_seq: 1,
        upstream_seq: 2,
    };
    let (mut exchange, first) = match Exchange::begin(&start) {
        Ok(begun) => begun,
        Err(refusal) => return traces.add("not begun", kind(&refusal)),
    };
    let both = legs.client == Protection::Tls && legs.upstream == Protection::Tls;
    let whole = matches!(plugin, Some("sha256_password" | "mysql_clear_password"));
    assert!(!(!both && whole && first.bytes() == b"first"), "a password goes upstream in clear");
    let (mut client, mut upstream) = (Told { seq: 2, payloads: Vec::new() }, Told { seq: 3, payloads: Vec::new() });
    let mut path = vec![b'0' + setting % 4];
    let mut rest = bytes;
    while let Some((mark, after)) = rest.split_first() {
        let (payload, after) = match mark & 0x7F {
            0x7F => (CIPHERTEXT, after),
            len => after.split_at(usize::from(len).min(after.len())),
        };
        rest = after;
        let from_client = mark & 0x80 != 0;
        // The client was asked for its password, and not both legs have TLS.
        let asked = !both && client.payloads.last().is_some_and(|last| last == b"\x01\x04");
        let mut packet = Vec::new();
        let side = if from_client { &mut client } else { &mut upstream };
        put_packet(&mut packet, side.seq, payload);
        let (mut to_client, mut to_upstream) = (Vec::new(), Vec::new());
        let step = if from_client {
            exchange.client_step(&packet, &mut to_upstream)
        } else {
            exchange.upstream_step(&packet, &mut to_client)
        };
        let step = match step {
            Ok(step) => step,
            Err(error) => {
                assert!(to_client.is_empty() && to_upstream.is_empty(), "something passes beside an error");
                traces.add_error(&error);
                path.push(b'e');
                break;
            }
        };
        side.seq = side.seq.wrapping_add(1);
        let len = packet.len();
        let kind = match step {
            AuthStep::More(_) => panic!("a whole packet is not enough"),
            AuthStep::Next(used) => {
                assert_eq!(used, len);
                if from_client { b'c' } else { b's' }
            }
            AuthStep::NeedsKey(used) => {
                assert_eq!(used, len);
                exchange.give_key(b"-----BEGIN PUBLIC KEY-----", &mut to_client);
                b'k'
            }
            AuthStep::Decrypt { ciphertext, .. } => {
                // As long as it is no password, it fails; one in four is "secret" over the nonce.
                let plain = (ciphertext.len() % 4 == 0).then(|| Secret::new(b"CTQAQA6".to_vec()));
                match exchange.decrypted(plain.as_ref(), &mut to_upstream) {
                    Ok(()) => b'd',
                    Err(refusal) => refused(&mut exchange, &refusal, &mut to_client),
                }
            }
            AuthStep::Encrypt { public_key, .. } => {
                let ciphertext = (public_key.len() % 4 != 0).then_some(b"ciphertext".as_slice());
                match exchange.encrypted(ciphertext, &mut to_upstream) {
                    Ok(()) => b'n',
                    Err(refusal) => refused(&mut exchange, &refusal, &mut to_client),
                }
            }
            AuthStep::Authenticated { packet, .. } => {
                to_client.extend_from_slice(&packet);
                b'a'
            }
            AuthStep::Failed { sqlstate, .. } => {
                assert_eq!(sqlstate.len(), 5);
                b'f'
            }
            AuthStep::Refused(refusal) => {
                traces.add("refused", kind(&refusal));
                refused(&mut exchange, &refusal, &mut to_client)
            }
        };
        assert_ne!(exchange.turn(), Turn::Trunk, "the trunk has answered");
        client.hear(&to_client);
        let heard = upstream.payloads.len();
        upstream.hear(&to_upstream);
        if asked && from_client && payload.len() > 1 && payload != CIPHERTEXT {
            let leaked = upstream.payloads[heard..].iter().any(|sent| sent == payload);
            assert!(!leaked, "a password passes in clear");
        }
        path.push(kind);
        if exchange.turn() == Turn::Nobody {
            break;
        }
    }
    // A plugin that wants clear text was passed on only where both legs are protected.
    let clear = client.payloads.iter().any(|told| told.starts_with(b"\xfemysql_clear_password\0"));
    assert!(both || !clear, "a client is asked for its password in clear");
    path.push(match exchange.turn() {
        Turn::Upstream => b'U',
        Turn::Client => b'C',
        Turn::Trunk => b'T',
        Turn::Nobody => b'N',
    });
    traces.add_pairs(&path);
}

fn refused(exchange: &mut Exchange, refusal: &Refusal, to_client: &mut Vec<u8>) -> u8 {
    exchange.put_refusal(refusal, to_client);
    assert_eq!(exchange.turn(), Turn::Nobody);
    b'r'
}

fn change_user(bytes: &[u8], setting: u8, traces: &mut Traces) {
    let agreed = Capabilities::PLUGIN_AUTH.with(Capabilities::CONNECT_ATTRS);
    let agreed = if setting & 2 == 0 { agreed } else { Capabilities::NONE };
    match ChangeUser::read(bytes, agreed, flavour(setting)) {
        Ok(change) => {
            let again =
                change.rebuild(change.auth_response.bytes()).expect("what was read has one byte for its length");
            assert!(again.len() <= bytes.len(), "a change of the user grows");
            assert_eq!(ChangeUser::read(&again, agreed, flavour(setting)), Ok(change.clone()));
            traces.add("change", (change.database.is_some(), change.collation.is_some(), change.plugin.is_some()));
            traces.add("attributes", change.attributes.map(|attributes| attributes.pairs().count().min(9)));
        }
        Err(refusal) => traces.add("refused", kind(&refusal)),
    }
}

fn ends(bytes: &[u8], setting: u8, traces: &mut Traces) {
    let agreed = if setting & 1 == 0 { Capabilities::NONE } else { Capabilities::SESSION_TRACK };
    match OkPacket::read(bytes, agreed) {
        Some(ok) => {
            assert!(ok.changes().all(|change| change.is_some()), "a packet that was read has changes that cannot be");
            let kinds: Vec<_> = ok.known_changes().map(|change| std::mem::discriminant(&change)).take(6).collect();
            assert!(ok.info.len() <= bytes.len());
            traces.add("ok", (kinds, ok.info.is_empty()));
        }
        None => traces.add("ok", "none"),
    }
    match read_error(bytes) {
        Some(ErrPacket::Error(error)) => {
            assert!(error.sqlstate().bytes().all(|byte| byte.is_ascii_alphanumeric()));
            // Weir's own refusals are read as such, whatever their text.
            let text = String::from_utf8_lossy(error.message).into_owned();
            let mut packet = Vec::new();
            put_error(&mut packet, 1, &Refusal::new("42501", text, ""));
            match read_error(&packet[HEADER_LEN..]) {
                Some(ErrPacket::Error(own)) => assert_eq!((own.errno, own.sqlstate().as_str()), (1142, "42000")),
                other => panic!("a refusal reads as {other:?}"),
            }
            traces.add("error", (error.sqlstate == *b"HY000", error.message.is_empty()));
        }
        Some(ErrPacket::Progress(_)) => traces.add("error", "progress"),
        None => traces.add("error", "none"),
    }
}

/// Inputs that a person can read.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let named = |name: &str, part: u8, setting: u8, bytes: &[u8]| (name.to_owned(), [&[part, setting], bytes].concat());
    let talk = |name: &str, setting: u8, packets: &[(bool, &[u8])]| {
        let mut bytes = Vec::new();
        for (from_client, payload) in packets {
            let len = u8::try_from(payload.len()).unwrap_or(0x7F);
            bytes.push(len | if *from_client { 0x80 } else { 0 });
            bytes.extend_from_slice(if len == 0x7F { &[] } else { payload });
        }
        named(name, 2, setting, &bytes)
    };
    let (server, client) = (false, true);
    let (native, sha2, sha256) = (1 << 2, 2 << 2, 3 << 2);
    let mysql = greeting_of("9.7.4", 0xDFFF_FFFF, 0, "caching_sha2_password");
    let maria = greeting_of("5.5.5-10.11.19-MariaDB", 0x81FF_F7FE, 0x1D, "mysql_native_password");
    let attributes = b"\x0fprogram_name\x05mysql";
    let full =
        login_of(0x19BF_A28D, 0, b"alice\0\x05first", b"d1\0caching_sha2_password\0", b"\x12\x0cprogram_name\x04test");
    let from_maria = login_of(0x00BF_A28C, 0x1D, b"alice\0\x05first", b"d1\0mysql_native_password\0", b"\0");
    vec![
        named("greeting-mysql", 0, 0, &mysql),
        named("greeting-mariadb", 0, 31, &maria),
        named("greeting-before-4-1", 0, 0, &greeting_of("3.23", 0x0001_000C, 0, "")),
        named("greeting-error", 0, 0, b"\xff\x10\x04Too many connections"),
        named("login-mysql", 1, 0, &full),
        named("login-mariadb", 1, 1, &from_maria),
        named(
            "login-under-tls",
            1,
            0x26,
            &login_of(0x19BF_AA8D, 0, b"alice\0\x05first", b"\0sha256_password\0", b"\0"),
        ),
        named("login-quoted", 1, 0, &login_of(0x19BF_A28D, 0, b"'root'\0\0", b"\0\0", b"\0")),
        named("login-latin1", 1, 0, &login_of(0x0000_8200, 0, b"j\xfcrgen\0\0", b"", b"")),
        named("login-bare", 1, 0, &login_of(0x0000_8200, 0, b"haproxy\0\0", b"", b"")),
        named("login-attributes-cut", 1, 0, &login_of(0x19BF_A28D, 0, b"a\0\0", b"\0\0", attributes)),
        named("login-before-4-1", 1, 0, b"\x0d\0\0\x01\0\x80\0\0\x01haproxy\0"),
        named("tls-request", 1, 2, &login_of(0x19BF_AA8D, 0, b"", b"", b"")),
        named("login-with-tls-bit", 1, 2, &login_of(0x19BF_AA8D, 0, b"alice\0\0", b"\0\0", b"\0")),
        named("giant", 1, 0, b"\xff\xff\xff\x01\x8d\xa2\xbf\x19"),
        talk("native", native, &[(server, OK)]),
        talk("ed25519", native, &[(server, b"\xfeclient_ed25519\0nonce"), (client, b"signature"), (server, OK)]),
        talk("sha2-fast", sha2, &[(server, b"\x01\x03"), (server, OK)]),
        talk("sha2-full-tls", sha2 | 3, &[(server, b"\x01\x04"), (client, b"secret\0"), (server, OK)]),
        talk(
            "sha2-full-plain",
            sha2,
            &[(server, b"\x01\x04"), (client, b"\x02"), (server, b"\x01key"), (client, CIPHERTEXT), (server, OK)],
        ),
        talk(
            "sha2-to-rsa",
            sha2 | 1,
            &[(server, b"\x01\x04"), (client, b"secret\0"), (server, b"\x01key."), (server, OK)],
        ),
        talk(
            "sha2-from-rsa",
            sha2 | 2,
            &[(server, b"\x01\x04"), (client, b"\x02"), (client, CIPHERTEXT), (server, OK)],
        ),
        talk("sha2-other-key", sha2 | 2, &[(server, b"\x01\x04"), (client, b"\x02"), (client, b"cipher")]),
        talk("sha2-kept-key", sha2 | 2, &[(server, b"\x01\x04"), (client, CIPHERTEXT), (server, OK)]),
        talk("sha2-odd-request", sha2 | 1, &[(server, b"\x01\x04\0"), (client, b"secret\0")]),
        talk("sha256-first", sha256 | 1, &[(server, b"\x01key."), (server, OK)]),
        talk(
            "sha256-behind-a-switch",
            native | 2,
            &[(server, b"\xfesha256_password\0n\0"), (client, b"\x01"), (client, CIPHERTEXT)],
        ),
        talk("clear-text", native, &[(server, b"\xfemysql_clear_password\0")]),
        talk(
            "clear-text-tls",
            native | 3,
            &[(server, b"\xfemysql_clear_password\0"), (client, b"secret\0"), (server, OK)],
        ),
        talk(
            "dialog",
            native | 3,
            &[(server, b"\xfedialog\0\x04Password: "), (client, b"s\0"), (server, b"\x02Code: ")],
        ),
        talk("kerberos", native, &[(server, b"\xfeauthentication_kerberos_client\0")]),
        talk("old-switch", native, &[(server, b"\xfe")]),
        talk("denied", sha2, &[(server, b"\xff\x15\x04#28000Access denied")]),
        talk("query-before-login", native, &[(client, b"\x03select 1")]),
        talk("local-file-before-login", native, &[(server, b"\xfb/etc/passwd")]),
        talk("unknown-plugin", 5 << 2, &[]),
        talk("password-without-tls", sha2, &[(server, b"\x01\x04"), (client, b"secret\0")]),
        // Each of these was found by a run.
        named(
            "nonce-cut-without-plugins",
            0,
            0,
            &greeting_of("8", 0x0000_8200, 0, "a nonce of another length\0")
                .into_iter()
                .map(|byte| if byte == 21 { 40 } else { byte })
                .collect::<Vec<u8>>(),
        ),
        named("version-beyond-all", 0, 0, &greeting_of("4294967295.0.0", 0xDFFF_FFFF, 0, "caching_sha2_password")),
        talk("empty-out-of-turn", native, &[(client, b"")]),
        talk("password-asked-by-another-plugin", native | 1, &[(server, b"\x01\x04"), (client, b"secret\0")]),
        named("change-user", 3, 0, b"\x11alice\0\x03xyzd1\0\x2d\0mysql_native_password\0\x07\x03pid\x0242"),
        named("change-user-short", 3, 1, b"\x11alice\0\0\0"),
        named("change-user-quoted", 3, 0, b"\x11'alice'\0\0\0\x2d\0"),
        named("change-user-cut", 3, 2, b"\x11alice\0\x20d1"),
        named("ok", 4, 0, b"\0\x01\xfc\x34\x12\x02\0\0\0text"),
        named("ok-changes", 4, 1, OK),
        named("ok-variables", 4, 1, b"\0\0\0\x02\x40\0\0\0\x14\0\x0f\x0aautocommit\x03OFF\x02\x011"),
        named("ok-gtids", 4, 1, b"\xfe\0\0\x02\x40\0\0\0\x11\x03\x05\0\x03a:1\x05\x08\x07T______"),
        named("ok-lying", 4, 1, b"\0\0\0\x02\x40\0\0\0\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"),
        named("error", 4, 0, b"\xff\x48\x04#HY000no tables used"),
        named("error-early", 4, 0, b"\xff\x10\x04Too many connections"),
        named("progress", 4, 0, b"\xff\xff\xff\x01\x02\x03\x10\x27\0\x04sort"),
    ]
}

const OK: &[u8] = b"\0\0\0\x02\x40\0\0\0\x05\x01\x03\x02d1";

fn greeting_of(version: &str, basic: u32, extended: u32, plugin: &str) -> Vec<u8> {
    let [a, b, c, d] = basic.to_le_bytes();
    let mut payload = [b"\x0a", version.as_bytes(), b"\0\x07\0\0\x0001234567\0"].concat();
    payload.extend_from_slice(&[a, b, 45, 2, 0, c, d, 21, 0, 0, 0, 0, 0, 0]);
    payload.extend_from_slice(&extended.to_le_bytes());
    payload.extend_from_slice(b"890123456789\0");
    payload.extend_from_slice(plugin.as_bytes());
    payload.push(0);
    payload
}

fn login_of(basic: u32, extended: u32, user: &[u8], names: &[u8], attributes: &[u8]) -> Vec<u8> {
    let mut payload = basic.to_le_bytes().to_vec();
    payload.extend_from_slice(&(1_u32 << 24).to_le_bytes());
    payload.push(if user.contains(&0xFC) { 8 } else { 45 });
    payload.extend_from_slice(&[0; 19]);
    payload.extend_from_slice(&extended.to_le_bytes());
    [user, names, attributes].iter().for_each(|part| payload.extend_from_slice(part));
    let mut packet = Vec::new();
    put_packet(&mut packet, 1, &payload);
    packet
}
