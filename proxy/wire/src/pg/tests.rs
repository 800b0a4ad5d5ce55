//! The engine against written-down conversations: what each side sends, what must come out on the other side.

use proptest::prelude::*;

use super::engine::{Limits, PgEngine};
use super::error::sqlstate;
use super::frame::{Header, put_frame};
use crate::refusal::{Refusal, WireError};
use crate::step::{
    ClientStep, Door, Engine, Execution, Moment, Outcome, Prepared, Run, Telling, Told, Transaction, UpstreamStep,
};

#[derive(Clone, Debug)]
struct Text(Vec<u8>);

impl Prepared for Text {
    fn wants_values(&self) -> bool {
        true
    }
    fn may_compute(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Exec {
    holds: bool,
    streams: bool,
    rows: usize,
}

impl Execution for Exec {
    fn streams(&self) -> bool {
        self.streams
    }
    fn wants_shape(&self) -> bool {
        true
    }
    fn holds(&self) -> bool {
        self.holds
    }
    fn may_compute(&self) -> bool {
        true
    }
}

/// A trunk in small: refuses texts with `refuse`, holds texts with `secret` and cuts them behind `cut_after` rows.
struct Trunk {
    engine: PgEngine<Text, Exec>,
    client: Vec<u8>,
    upstream: Vec<u8>,
    to_client: Vec<u8>,
    to_upstream: Vec<u8>,
    cut_after: usize,
    /// What the server says besides rows is withheld.
    withholds: bool,
    told: Vec<Told>,
    outcomes: Vec<(usize, Outcome)>,
    transaction: Transaction,
}

const LIMITS: Limits = Limits { frame_bytes_max: 1 << 20, pipeline_max: 1000 };

impl Trunk {
    fn new() -> Trunk {
        // Somebody always listens: what passes must pass unchanged all the same.
        let mut engine = PgEngine::new(LIMITS);
        engine.listen(true);
        Trunk {
            engine,
            client: Vec::new(),
            upstream: Vec::new(),
            to_client: Vec::new(),
            to_upstream: Vec::new(),
            cut_after: usize::MAX,
            withholds: false,
            told: Vec::new(),
            outcomes: Vec::new(),
            transaction: Transaction::Idle,
        }
    }

    fn refusal() -> Refusal {
        Refusal::new("42501", "statement refused", "ask")
    }

    fn client_says(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        self.client.extend_from_slice(bytes);
        loop {
            let input = std::mem::take(&mut self.client);
            let step = self.engine.client_step(&input, &mut self.to_upstream)?;
            let used = match step {
                ClientStep::ChangeUser(_) => unreachable!("PostgreSQL has no such request"),
                ClientStep::More(_) | ClientStep::Hold => 0,
                ClientStep::Pass(len) | ClientStep::Terminate(len) => {
                    self.to_upstream.extend_from_slice(&input[..len]);
                    len
                }
                ClientStep::Prepare { len, text } => {
                    self.engine.learn(&input[..len], Text(text.to_vec()), &mut self.to_upstream)?;
                    len
                }
                ClientStep::Judge { len, run } => {
                    let text = match run {
                        Run::Text { text } => text.to_vec(),
                        Run::Command(_) => unreachable!("PostgreSQL has no such requests"),
                        Run::Portal { statement, .. } => statement.map(|text| text.0).unwrap_or_default(),
                        Run::Function { .. } => b"refuse".to_vec(),
                    };
                    let has = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
                    if has(b"refuse") {
                        self.engine.refuse(
                            &input[..len],
                            &Trunk::refusal(),
                            &mut self.to_upstream,
                            &mut self.to_client,
                        )?;
                    } else {
                        let secret = has(b"secret");
                        let execution = Exec { holds: secret, streams: !secret, rows: 0 };
                        self.engine.forward(&input[..len], execution, &mut self.to_upstream)?;
                    }
                    len
                }
            };
            self.client = input[used..].to_vec();
            if used == 0 {
                return Ok(());
            }
        }
    }

    fn upstream_says(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        self.upstream.extend_from_slice(bytes);
        loop {
            let input = std::mem::take(&mut self.upstream);
            let mut pass = |len: usize| {
                self.to_client.extend_from_slice(&input[..len]);
                len
            };
            let used = match self.engine.upstream_step(&input, &mut self.to_upstream)? {
                UpstreamStep::More(_) => 0,
                UpstreamStep::Told { len, told } => {
                    let refusal = Trunk::refusal();
                    let telling = if self.withholds { Telling::Instead(&refusal) } else { Telling::Whole };
                    self.engine.tell(&input[..len], telling, &mut self.to_client);
                    self.told.push(told);
                    self.upstream = input;
                    continue;
                }
                UpstreamStep::Setting { swallow: true, len, .. } => len,
                UpstreamStep::Pass(len)
                | UpstreamStep::Shape(len)
                | UpstreamStep::ResultEnd(len)
                | UpstreamStep::Setting { len, .. } => pass(len),
                UpstreamStep::Swallow(len) => len,
                UpstreamStep::Swap(len, instead) => {
                    self.to_client.extend_from_slice(&instead);
                    len
                }
                UpstreamStep::Rows { len, rows } => {
                    let running = self.engine.running().expect("rows belong to an execution");
                    let secret = running.execution.holds;
                    let room = self.cut_after.saturating_sub(running.execution.rows);
                    if secret && rows > room {
                        let mut part = 0;
                        for _ in 0..room {
                            part += Header::read(&input[part..], 1 << 20)?.expect("whole").frame_len;
                        }
                        running.execution.rows += room;
                        pass(part);
                        self.engine.cut(&Trunk::refusal(), &mut self.to_client);
                        if part == 0 {
                            self.upstream = input;
                            continue;
                        }
                        part
                    } else {
                        running.execution.rows += rows;
                        pass(len)
                    }
                }
                UpstreamStep::Finished { len, swallow, execution, outcome } => {
                    self.outcomes.push((execution.rows, outcome));
                    if swallow { len } else { pass(len) }
                }
                UpstreamStep::Idle { len, swallow, finished, transaction } => {
                    self.transaction = transaction;
                    if let Some((execution, outcome)) = finished {
                        self.outcomes.push((execution.rows, outcome));
                    }
                    if swallow { len } else { pass(len) }
                }
            };
            for skipped in self.engine.take_skipped() {
                self.outcomes.push((skipped.rows, Outcome::Skipped));
            }
            self.upstream = input[used..].to_vec();
            if used == 0 {
                break;
            }
        }
        // What was held may go on.
        self.client_says(&[])
    }
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_frame(&mut out, kind, body);
    out
}

fn frames(parts: &[(u8, &[u8])]) -> Vec<u8> {
    parts.iter().flat_map(|(kind, body)| frame(*kind, body)).collect()
}

fn query(text: &str) -> Vec<u8> {
    frame(b'Q', format!("{text}\0").as_bytes())
}

fn parse(name: &str, text: &str) -> Vec<u8> {
    frame(b'P', [name.as_bytes(), &[0], text.as_bytes(), &[0, 0, 0]].concat().as_slice())
}

fn bind(portal: &str, name: &str) -> Vec<u8> {
    frame(b'B', [portal.as_bytes(), &[0], name.as_bytes(), &[0, 0, 0, 0, 0, 0, 0]].concat().as_slice())
}

fn execute(portal: &str) -> Vec<u8> {
    frame(b'E', [portal.as_bytes(), &[0, 0, 0, 0, 0]].concat().as_slice())
}

fn describe(portal: &str) -> Vec<u8> {
    frame(b'D', [b"P", portal.as_bytes(), &[0]].concat().as_slice())
}

const COLUMN: &[u8] = b"\0\x01id\0\0\0\x40\0\0\x01\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0";
const ROW: &[u8] = b"\0\x01\0\0\0\x0242";
const TYPES: &[u8] = b"\0\0";
const ERROR: &[u8] = b"SERROR\0C57014\0Mcanceling statement\0\0";

fn kinds(bytes: &[u8]) -> String {
    let mut kinds = String::new();
    let mut rest = bytes;
    while let Some(header) = Header::read(rest, 1 << 24).expect("frames") {
        kinds.push(char::from(header.kind));
        rest = &rest[header.frame_len..];
    }
    kinds
}

fn error_codes(bytes: &[u8]) -> Vec<String> {
    let mut codes = Vec::new();
    let mut rest = bytes;
    while let Some(header) = Header::read(rest, 1 << 24).expect("frames") {
        if header.kind == b'E' {
            codes.push(sqlstate(&rest[5..header.frame_len]));
        }
        rest = &rest[header.frame_len..];
    }
    codes
}

#[test]
fn a_refused_query_is_an_error_and_ready() {
    let mut trunk = Trunk::new();
    trunk.client_says(&query("refuse me")).unwrap();
    assert!(!trunk.to_upstream.windows(9).any(|part| part == b"refuse me"));
    trunk.upstream_says(&frames(&[(b'E', ERROR), (b'Z', b"I")])).unwrap();
    assert_eq!(kinds(&trunk.to_client), "EZ");
    assert_eq!(error_codes(&trunk.to_client), ["42501"]);
    assert!(trunk.engine.is_quiet());
}

#[test]
fn a_refused_execute_in_a_pipeline_skips_up_to_sync() {
    let mut trunk = Trunk::new();
    let pipeline = [
        parse("a", "select 1"),
        bind("", "a"),
        describe(""),
        execute(""),
        parse("b", "refuse"),
        bind("", "b"),
        execute(""),
        parse("c", "update t"),
        bind("", "c"),
        execute(""),
        frame(b'S', b""),
    ]
    .concat();
    trunk.client_says(&pipeline).unwrap();
    // The server answers the first statement, then fails the poison and skips the third.
    trunk
        .upstream_says(&frames(&[
            (b'1', b""),
            (b'2', b""),
            (b'T', COLUMN),
            (b'D', ROW),
            (b'C', b"SELECT 1\0"),
            (b'1', b""),
            (b'2', b""),
            (b'E', ERROR),
            (b'Z', b"I"),
        ]))
        .unwrap();
    assert_eq!(kinds(&trunk.to_client), "12TDC12EZ");
    assert_eq!(error_codes(&trunk.to_client), ["42501"]);
    assert_eq!(trunk.outcomes, [(1, Outcome::Complete("SELECT 1".into())), (0, Outcome::Skipped)]);
    // `c` was never prepared on the server: its name must not be known.
    trunk.client_says(&[bind("", "c"), execute("")].concat()).unwrap();
    assert!(kinds(&trunk.to_upstream).ends_with("BDE"), "an unknown statement is described by Weir itself");
}

#[test]
fn a_cut_ends_the_result_at_the_row_and_swallows_the_rest() {
    let mut trunk = Trunk::new();
    trunk.cut_after = 2;
    trunk.client_says(&query("select secret")).unwrap();
    let rows = frames(&[(b'T', COLUMN), (b'D', ROW), (b'D', ROW), (b'D', ROW), (b'D', ROW)]);
    trunk.upstream_says(&rows).unwrap();
    assert_eq!(kinds(&trunk.to_client), "TDDE");
    trunk.upstream_says(&frames(&[(b'D', ROW), (b'E', ERROR), (b'Z', b"E")])).unwrap();
    assert_eq!(kinds(&trunk.to_client), "TDDEZ");
    assert_eq!(error_codes(&trunk.to_client), ["42501"]);
    assert_eq!(trunk.outcomes, [(2, Outcome::Cut)]);
    assert_eq!(trunk.transaction, Transaction::Failed);
}

#[test]
fn a_cut_after_the_server_had_finished_still_fails_the_transaction() {
    let mut trunk = Trunk::new();
    trunk.cut_after = 0;
    trunk.client_says(&query("select secret")).unwrap();
    let all = frames(&[(b'T', COLUMN), (b'D', ROW), (b'C', b"SELECT 1\0"), (b'Z', b"T")]);
    trunk.upstream_says(&all).unwrap();
    assert_eq!(kinds(&trunk.to_client), "TE", "ReadyForQuery waits until the transaction is a failed one");
    assert_eq!(kinds(&trunk.to_upstream), "QQ");
    trunk.upstream_says(&frames(&[(b'E', ERROR), (b'Z', b"E")])).unwrap();
    assert_eq!(kinds(&trunk.to_client), "TEZ");
    assert!(trunk.to_client.ends_with(b"E"));
    assert!(trunk.engine.is_quiet());
}

#[test]
fn what_is_pipelined_behind_a_counted_execution_waits_for_its_end() {
    let mut trunk = Trunk::new();
    trunk.cut_after = 1;
    let head = [parse("", "select secret"), bind("", ""), describe(""), execute("")].concat();
    let tail = [parse("u", "update t"), bind("", "u"), execute(""), frame(b'S', b"")].concat();
    trunk.client_says(&[head, tail].concat()).unwrap();
    assert_eq!(kinds(&trunk.to_upstream), "PBDEH", "a Flush, so that the server does not keep the reply");
    trunk
        .upstream_says(&frames(&[
            (b'1', b""),
            (b'2', b""),
            (b'T', COLUMN),
            (b'D', ROW),
            (b'D', ROW),
            (b'C', b"SELECT 2\0"),
        ]))
        .unwrap();
    assert_eq!(kinds(&trunk.to_client), "12TDE");
    // Poison first, so that the server skips the update (and the description that Weir asks for) up to the Sync.
    assert_eq!(kinds(&trunk.to_upstream), "PBDEHEPBDES");
    trunk.upstream_says(&frames(&[(b'E', ERROR), (b'Z', b"I")])).unwrap();
    assert_eq!(kinds(&trunk.to_client), "12TDEZ");
}

#[test]
fn syncs_inside_copy_in_bring_no_ready() {
    let mut trunk = Trunk::new();
    let start = [parse("", "copy t from stdin"), bind("", ""), describe(""), execute(""), frame(b'S', b"")].concat();
    trunk.client_says(&start).unwrap();
    trunk.upstream_says(&frames(&[(b'1', b""), (b'2', b""), (b'n', b""), (b'G', b"\0\0\0")])).unwrap();
    trunk.client_says(&frames(&[(b'd', b"1\n"), (b'c', b""), (b'S', b"")])).unwrap();
    trunk.upstream_says(&frames(&[(b'C', b"COPY 1\0"), (b'Z', b"I")])).unwrap();
    assert_eq!(kinds(&trunk.to_client), "12nGCZ");
    assert!(trunk.engine.is_quiet());
}

#[test]
fn rows_that_nobody_asked_for_end_the_session() {
    for conversation in [
        frames(&[(b'D', ROW)]),
        frames(&[(b'T', COLUMN), (b'D', ROW), (b'C', b"SELECT 1\0"), (b'D', ROW)]),
        frames(&[(b'd', ROW)]),
    ] {
        let mut trunk = Trunk::new();
        trunk.client_says(&query("select 1")).unwrap();
        assert!(trunk.upstream_says(&conversation).is_err());
        assert!(!kinds(&trunk.to_client).ends_with("CD"));
    }
}

#[test]
fn lengths_are_judged_at_the_header() {
    for (length, kind) in [(0_i32, b'Q'), (3, b'Q'), (-5, b'P'), (i32::MAX, b'B'), (i32::MIN, b'd'), (2 << 20, b'd')] {
        let mut trunk = Trunk::new();
        let mut bytes = vec![kind];
        bytes.extend_from_slice(&length.to_be_bytes());
        assert!(trunk.client_says(&bytes).is_err(), "{length}");
        let mut trunk = Trunk::new();
        assert!(trunk.upstream_says(&bytes).is_err(), "{length}");
    }
}

/// A fuzzer's find: the bound on the pipeline made an admitted execution vanish, and its reservation with it.
#[test]
fn an_execution_that_the_pipeline_has_no_room_for_comes_back() {
    let mut trunk = Trunk::new();
    let mut sent = 0;
    let error = loop {
        match trunk.client_says(&[parse("", "select 1"), bind("", ""), execute("")].concat()) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, WireError::TooMany { .. }), "{error}");
    let back = trunk.engine.abandon();
    assert!(back.len() == sent || back.len() == sent + 1, "{} of {sent} came back", back.len());
    // The same with an Execute alone, which is what does not fit.
    let mut trunk = Trunk::new();
    let mut sent = 0;
    while trunk.client_says(&execute("unknown")).is_ok() {
        sent += 1;
    }
    assert_eq!(trunk.engine.abandon().len(), sent + 1);
}

/// A fuzzer's find: whole rows in front of an impossible header left only if they had arrived in a read of their own.
#[test]
fn whole_rows_leave_before_an_impossible_header_ends_the_session() {
    let answer = [frames(&[(b'T', COLUMN), (b'D', ROW), (b'D', ROW)]), b"D\xff\xff\xff\xff".to_vec()].concat();
    for size in [1, answer.len()] {
        let mut trunk = Trunk::new();
        trunk.client_says(&query("select 1")).unwrap();
        let broken = chunks(&answer, &[size]).iter().any(|chunk| trunk.upstream_says(chunk).is_err());
        assert!(broken);
        assert_eq!(kinds(&trunk.to_client), "TDD", "in chunks of {size}");
    }
}

/// A fuzzer's find: an unknown message behind an execution that holds was told at once or later, as it happened to arrive.
#[test]
fn unknown_messages_are_refused_at_their_header_even_while_an_execution_holds() {
    let mut trunk = Trunk::new();
    let conversation = [query("select secret"), frame(b'z', b"whole")].concat();
    assert!(matches!(trunk.client_says(&conversation), Err(WireError::Unexpected { .. })));
}

/// A conversation of which every part is allowed: its bytes must come out as they went in.
fn allowed() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let part = prop_oneof![
        (0_usize..20).prop_map(|rows| {
            let mut answer = frame(b'T', COLUMN);
            (0..rows).for_each(|_| answer.extend(frame(b'D', ROW)));
            answer.extend(frames(&[(b'C', b"SELECT 1\0"), (b'Z', b"I")]));
            (query("select 1"), answer)
        }),
        (0_usize..20).prop_map(|rows| {
            let ask = [parse("", "select 2"), bind("", ""), describe(""), execute(""), frame(b'S', b"")].concat();
            let mut answer = frames(&[(b'1', b""), (b'2', b""), (b'T', COLUMN)]);
            (0..rows).for_each(|_| answer.extend(frame(b'D', ROW)));
            answer.extend(frames(&[(b'N', b"SNOTICE\0\0"), (b's', b""), (b'Z', b"T")]));
            (ask, answer)
        }),
        Just((
            [parse("x", "select"), frame(b'D', b"Sx\0"), bind("", "x"), execute(""), frame(b'S', b"")].concat(),
            frames(&[(b'1', b""), (b't', TYPES), (b'T', COLUMN), (b'E', ERROR), (b'Z', b"E")])
        )),
        Just((
            query("copy t to stdout"),
            frames(&[(b'H', b"\0\0\0"), (b'd', b"1\n"), (b'c', b""), (b'C', b"COPY 1\0"), (b'Z', b"I")])
        )),
        Just((query(""), frames(&[(b'I', b""), (b'S', b"a\0b\0"), (b'A', b"\0\0\0\x01c\0\0"), (b'Z', b"I")]))),
    ];
    proptest::collection::vec(part, 1..12).prop_map(|parts| {
        let (asks, answers): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        (asks.concat(), answers.concat())
    })
}

fn chunks(bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut out = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (head, tail) = rest.split_at((*size).min(rest.len()));
        out.push(head.to_vec());
        rest = tail;
    }
    out
}

fn doors(trunk: &mut Trunk) -> Vec<(Door, Moment)> {
    std::mem::take(&mut trunk.told).into_iter().map(|told| (told.door, told.moment)).collect()
}

#[test]
fn what_the_server_says_besides_rows_is_told_by_door_and_moment() {
    let mut trunk = Trunk::new();
    trunk.client_says(&query("select 1")).unwrap();
    let said = frames(&[
        (b'N', b"SNOTICE\0C00000\0Mhello\0\0"),
        (b'S', b"application_name\0me\0"),
        (b'S', b"client_encoding\0UTF8\0"),
        (b'A', b"\0\0\0\x01jobs\0payload\0"),
        (b'T', COLUMN),
        (b'D', ROW),
        (b'E', ERROR),
        (b'Z', b"I"),
    ]);
    trunk.upstream_says(&said).unwrap();
    assert_eq!(trunk.to_client, said, "all of it passes unchanged");
    let running = |door| (door, Moment::Running);
    assert_eq!(
        doors(&mut trunk),
        [
            running(Door::Notice),
            running(Door::Setting),
            (Door::Notification, Moment::Aside),
            running(Door::Columns),
            running(Door::Error)
        ]
    );
    // A statement is planned with its parameters when it is bound: before anything was judged.
    trunk.client_says(&[parse("", "select f()"), bind("", ""), execute(""), frame(b'S', b"")].concat()).unwrap();
    trunk.upstream_says(&frame(b'1', b"")).unwrap();
    trunk.upstream_says(&frame(b'E', ERROR)[..10]).unwrap();
    assert_eq!(trunk.engine.binding().map(|text| text.0), Some(b"select f()".to_vec()));
    trunk.upstream_says(&frame(b'E', ERROR)[10..]).unwrap();
    trunk.upstream_says(&frames(&[(b'E', ERROR), (b'Z', b"I")])).unwrap();
    assert_eq!(doors(&mut trunk), [(Door::Error, Moment::Binding), (Door::Error, Moment::Ending)]);
    assert!(trunk.engine.is_quiet());
}

#[test]
fn what_is_withheld_keeps_its_code_and_its_place() {
    let mut trunk = Trunk::new();
    trunk.withholds = true;
    trunk.client_says(&query("select cast(email as int)")).unwrap();
    let error = b"SERROR\0VERROR\0C22P02\0Minvalid input: \"a@b.c\"\0Fnumutils.c\0\0";
    let said = [(b'N', &error[..]), (b'S', b"application_name\0a@b.c\0"), (b'E', error), (b'Z', b"E")];
    trunk.upstream_says(&frames(&said)).unwrap();
    assert_eq!(kinds(&trunk.to_client), "NEZ", "a setting is swallowed");
    assert_eq!(error_codes(&trunk.to_client), ["22P02"]);
    assert!(!trunk.to_client.windows(5).any(|part| part == b"a@b.c"));
    assert_eq!(trunk.outcomes, [(0, Outcome::Error("22P02".into()))]);
    assert_eq!(trunk.transaction, Transaction::Failed, "the server's own");
    // Of the extended protocol, with names that are computed.
    trunk.to_client.clear();
    trunk
        .client_says(&[parse("", "fetch"), bind("", ""), describe(""), execute(""), frame(b'S', b"")].concat())
        .unwrap();
    let said = [(b'1', &b""[..]), (b'2', b""), (b'T', COLUMN), (b'E', error), (b'Z', b"I")];
    trunk.upstream_says(&frames(&said)).unwrap();
    assert_eq!(kinds(&trunk.to_client), "12TEZ");
    assert!(trunk.to_client.windows(8).any(|part| part == b"?column?"));
    assert!(trunk.engine.is_quiet());
}

/// A setting is reported with the end of the statement that made it, behind the row that was cut.
#[test]
fn behind_a_cut_nothing_is_said_that_may_hold_values() {
    let mut trunk = Trunk::new();
    trunk.cut_after = 0;
    trunk.client_says(&query("select secret")).unwrap();
    let said = [
        (b'T', COLUMN),
        (b'D', ROW),
        (b'N', b"SNOTICE\0C00000\0Ma@b.c\0\0"),
        (b'C', b"SELECT 1\0"),
        (b'S', b"application_name\0a@b.c\0"),
        (b'S', b"client_encoding\0UTF8\0"),
        (b'Z', b"I"),
    ];
    trunk.upstream_says(&frames(&said)).unwrap();
    assert_eq!(kinds(&trunk.to_client), "TESZ");
    assert!(trunk.engine.is_quiet());
}

#[test]
fn the_result_of_a_function_call_is_a_row() {
    let mut trunk = Trunk::new();
    let execution = Exec { holds: true, streams: false, rows: 0 };
    trunk.engine.forward(&frame(b'F', b"\0\0\0\x01\0\0\0\0\0\0"), execution, &mut trunk.to_upstream).unwrap();
    trunk.cut_after = 0;
    trunk.upstream_says(&frames(&[(b'V', b"\0\0\0\x06secret"), (b'Z', b"I")])).unwrap();
    assert_eq!(kinds(&trunk.to_client), "EZ");
    assert_eq!(trunk.outcomes, [(0, Outcome::Cut)]);
    assert!(trunk.engine.is_quiet());
}

proptest! {
    #[test]
    fn any_chunking_of_what_is_allowed_passes_unchanged(
        (ask, answer) in allowed(),
        sizes in proptest::collection::vec(1_usize..40, 1..8),
    ) {
        let mut trunk = Trunk::new();
        for chunk in chunks(&ask, &sizes) {
            trunk.client_says(&chunk).unwrap();
        }
        for chunk in chunks(&answer, &sizes) {
            trunk.upstream_says(&chunk).unwrap();
        }
        prop_assert_eq!(&trunk.to_upstream, &ask);
        prop_assert_eq!(&trunk.to_client, &answer);
        prop_assert!(trunk.engine.is_quiet());
    }

    #[test]
    fn no_bytes_panic(
        client in proptest::collection::vec((prop_oneof![Just(b'Q'), Just(b'P'), Just(b'B'), Just(b'E'), Just(b'D'), Just(b'C'), Just(b'S'), Just(b'F'), Just(b'c'), any::<u8>()], proptest::collection::vec(any::<u8>(), 0..24)), 0..12),
        upstream in proptest::collection::vec((prop_oneof![Just(b'T'), Just(b'D'), Just(b'C'), Just(b'E'), Just(b'Z'), Just(b'G'), Just(b'H'), Just(b'd'), Just(b'1'), Just(b'2'), any::<u8>()], proptest::collection::vec(any::<u8>(), 0..24)), 0..12),
        junk in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut trunk = Trunk::new();
        trunk.cut_after = 1;
        for (kind, body) in &client {
            if trunk.client_says(&frame(*kind, body)).is_err() {
                break;
            }
        }
        for (kind, body) in &upstream {
            if trunk.upstream_says(&frame(*kind, body)).is_err() {
                break;
            }
        }
        let _ = Trunk::new().client_says(&junk);
        let _ = Trunk::new().upstream_says(&junk);
        let _ = super::startup::read_first(&junk);
        let _ = super::auth::upstream_step(&junk, super::auth::ClearText::Refused);
        let _ = super::auth::client_step(&junk);
    }
}
