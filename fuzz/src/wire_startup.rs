//! The first packets of a connection and the exchange of credentials, from either side, before there is an identity.
//!
//! The first byte says which part is meant: 0 the first packet, 1 the server's side of the exchange, 2 the client's.

use weir_wire::pg::auth::{self, AuthStep, ClearText};
use weir_wire::pg::startup::{First, STARTUP_BYTES_MAX, Startup, read_first};

use crate::mutate::Form;
use crate::{Target, Traces, seeds};

/// What is not whole yet is told apart from what never will be; the packet that goes upstream says what was read, once;
/// steps consume what they were given and no more; channel binding is never offered on.
pub const TARGET: Target = Target {
    name: "wire-startup",
    check,
    form: Form::Bytes,
    dictionary: WORDS,
    seeds: seeds::startups,
    input_bytes_max: 12_000,
    memory_bytes_max: (1 << 20, 64),
    time_ms_max: 250,
};

/// Messages of one input that are looked at.
const STEPS_MAX: usize = 64;

const WORDS: &[&[u8]] = &[
    b"user\0",
    b"USER\0",
    b"database\0",
    b"options\0",
    b"-c ",
    b"-c=",
    b"--",
    b"=",
    b"\\ ",
    b"replication\0",
    b"true\0",
    b"application_name\0",
    b"search_path\0",
    b"_pq_.x\0",
    b"\0\x03\0\0",
    b"\0\x03\0\x02",
    b"\x04\xd2\x16\x2e",
    b"\x04\xd2\x16\x2f",
    b"\x04\xd2\x16\x30",
    b"\0\0\0\x08",
    b"\x16\x03\x01",
    b"SCRAM-SHA-256\0",
    b"SCRAM-SHA-256-PLUS\0",
    b"R\0\0\0\x08\0\0\0\0",
    b"R\0\0\0\x08\0\0\0\x03",
    b"\0\0\0\x0a",
    b"\0\0\0\x0b",
    b"K",
    b"S",
    b"E",
    b"N",
    b"v",
    b"Z",
    b"p",
    b"X",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff",
    b"\0\0",
];

fn check(input: &[u8]) -> Traces {
    let (part, bytes) = input.split_first().map_or((0, input), |(part, bytes)| (part % 3, bytes));
    let mut traces = Traces::default();
    match part {
        0 => first(bytes, &mut traces),
        1 => {
            exchange(bytes, ClearText::Refused, &mut traces);
            exchange(bytes, ClearText::Allowed, &mut traces);
        }
        _ => answers(bytes, &mut traces),
    }
    traces
}

fn first(bytes: &[u8], traces: &mut Traces) {
    let whole = read_first(bytes);
    let packet = match &whole {
        Ok(First::Startup(startup)) => startup.len,
        Ok(First::Tls { len } | First::Gss { len }) => *len,
        Ok(_) | Err(_) => 0,
    };
    assert!(packet <= bytes.len(), "a packet of {packet} bytes was read from {}", bytes.len());
    // However the bytes arrive, the first answer that is not "more" is the answer, and it comes in bounded memory.
    for end in 0..=bytes.len().min(STARTUP_BYTES_MAX + 1) {
        match read_first(&bytes[..end]) {
            Ok(First::More) => assert!(end < STARTUP_BYTES_MAX, "more than {end} bytes are waited for"),
            early => {
                assert_eq!(early, whole, "{end} bytes were read otherwise than all");
                break;
            }
        }
    }
    match whole {
        Ok(First::Startup(startup)) => {
            rebuilt(&startup);
            traces.add("extensions", (startup.minor.min(4), startup.extensions.len().min(2)));
            traces.add("options", (startup.wants_replication(), startup.options().len().min(3)));
            startup.parameters.iter().for_each(|(name, _)| traces.add("name", name.to_ascii_lowercase()));
        }
        Ok(other) => traces.add("first", std::mem::discriminant(&other)),
        Err(refusal) => traces.add("refused", refusal.message.split('`').next()),
    }
}

/// The packet for the upstream names everything once, and means what was read, to a server that takes the last value.
fn rebuilt(startup: &Startup) {
    let packet = startup.rebuild();
    match read_first(&packet) {
        Ok(First::Startup(again)) => {
            assert_eq!((&again.user, &again.database), (&startup.user, &startup.database));
            assert_eq!(again.parameters, startup.parameters);
            assert_eq!(again.replication, startup.replication);
            assert!(again.extensions.is_empty(), "an extension that weir does not speak goes upstream");
            assert_eq!(again.len, packet.len());
        }
        // What is rebuilt may be longer than what was read, by a database that was not given.
        Err(_) if packet.len() > STARTUP_BYTES_MAX => {}
        other => panic!("a rebuilt packet reads as {other:?}"),
    }
    let texts: Vec<&[u8]> = packet[8..].split(|byte| *byte == 0).collect();
    let names: Vec<String> = texts
        .chunks(2)
        .map(|pair| String::from_utf8_lossy(pair[0]).to_lowercase())
        .take_while(|name| !name.is_empty())
        .collect();
    let mut unique = names.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), names.len(), "a name stands twice in {names:?}");
    assert_eq!(names.first().map(String::as_str), Some("user"));
}

fn exchange(bytes: &[u8], clear_text: ClearText, traces: &mut Traces) {
    let mut used = 0;
    let mut path = Vec::new();
    loop {
        let rest = &bytes[used..];
        let step = auth::upstream_step(rest, clear_text);
        let len = match &step {
            Ok(AuthStep::Pass(len) | AuthStep::Swap(len, _) | AuthStep::Authenticated(len) | AuthStep::Ready(len)) => {
                *len
            }
            Ok(AuthStep::Setting { len, .. } | AuthStep::Key { len, .. } | AuthStep::Failed { len, .. }) => *len,
            Ok(AuthStep::More | AuthStep::ClearTextRefused | AuthStep::MethodRefused(_)) | Err(_) => 0,
        };
        assert!(len <= rest.len(), "a step of {len} bytes was given {}", rest.len());
        // A prefix of a frame is not a frame.
        if len > 0 {
            for end in [0, 4, len / 2, len - 1] {
                assert_eq!(auth::upstream_step(&rest[..end.min(len - 1)], clear_text), Ok(AuthStep::More));
            }
        }
        path.push(match step {
            Ok(AuthStep::More) => b'm',
            Ok(AuthStep::Pass(_)) => rest[0],
            Ok(AuthStep::Swap(_, ref instead)) => {
                let mut names = instead[9..].split(|byte| *byte == 0);
                assert!(!names.any(|name| name.ends_with(b"-PLUS")), "channel binding is offered on");
                b'x'
            }
            Ok(AuthStep::Setting { .. }) => b's',
            Ok(AuthStep::Key { key, .. }) => {
                assert!(!key.is_empty());
                b'k'
            }
            Ok(AuthStep::Failed { sqlstate, .. }) => {
                assert_eq!(sqlstate.len(), 5);
                b'f'
            }
            Ok(AuthStep::Authenticated(_)) => b'a',
            Ok(AuthStep::Ready(_)) => b'r',
            Ok(AuthStep::ClearTextRefused) => {
                assert_eq!(clear_text, ClearText::Refused);
                b'c'
            }
            Ok(AuthStep::MethodRefused(_)) => b'g',
            Err(error) => {
                traces.add_error(&error);
                b'e'
            }
        });
        if len == 0 || path.len() > STEPS_MAX {
            return traces.add_pairs(&path);
        }
        used += len;
    }
}

fn answers(bytes: &[u8], traces: &mut Traces) {
    let mut used = 0;
    let mut path = Vec::new();
    loop {
        let rest = &bytes[used..];
        match auth::client_step(rest) {
            Ok(Some(len)) => {
                assert!(len > 0 && len <= rest.len(), "a step of {len} bytes was given {}", rest.len());
                assert!(matches!(rest[0], b'p' | b'X'), "`{}` passes before the login", char::from(rest[0]));
                path.push(rest[0]);
                used += len;
            }
            Ok(None) => path.push(b'm'),
            Err(error) => {
                traces.add_error(&error);
                path.push(b'e');
            }
        }
        if path.last().is_none_or(|last| !matches!(last, b'p' | b'X')) || path.len() > STEPS_MAX {
            return traces.add_pairs(&path);
        }
    }
}
