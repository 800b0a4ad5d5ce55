//! Statements: the lexer, the shape and the analysis of any text.
//!
//! The first byte says how the session reads: odd means `standard_conforming_strings = on`, and its highest bit that
//! it is one of MySQL's or MariaDB's (see [`mysql`]).

mod mysql;

use std::sync::LazyLock;

use weir_policy::analysis::{Context, LexSettings, LiteralKind, Quoting, Shape, analyse, literal_value, shape};
use weir_policy::catalog::Catalog;
use weir_policy::statement::{Analysis, Columns, Coverage, Extent, Operand, SessionAct, StatementAnalysis};

use crate::mutate::Form;
use crate::{Target, Traces, seeds, support_desk};

/// The redacted text holds no literal; texts that differ in plain literals only are one shape and one analysis; what was
/// not understood is said; literals lie in order inside the text, and operands point at them.
pub const TARGET: Target = Target {
    name: "sql",
    check,
    form: Form::Bytes,
    dictionary: WORDS,
    seeds: statements,
    input_bytes_max: 8192,
    memory_bytes_max: (48 << 20, 2048),
    time_ms_max: 1000,
};

/// Longest redacted text that a record may hold, bytes.
const REDACTED_BYTES_MAX: usize = 8 * 1024;

/// Stands for every literal in turn. No statement says it otherwise.
const CANARY: &str = "zq9canary";

const WORDS: &[&[u8]] = &[
    b"select ",
    b"from ",
    b"where ",
    b"customers",
    b"email",
    b"billing.cards",
    b"notes",
    b"v_contacts",
    b"v_dir",
    b"id",
    b"*",
    b", ",
    b"(",
    b")",
    b"[",
    b"]",
    b".",
    b";",
    b"::",
    b":=",
    b"=>",
    b"=",
    b"<>",
    b"||",
    b"->>",
    b"@>",
    b"%",
    b"-",
    b"--",
    b"\n",
    b"/*",
    b"*/",
    b"'",
    b"''",
    b"'a'",
    b"E'",
    b"e'\\",
    b"U&'",
    b"u&\"",
    b" uescape '!'",
    b"N'",
    b"B'1'",
    b"x'f'",
    b"$$",
    b"$a$",
    b"$1",
    b"$2",
    b"\"",
    b"\"\"",
    b"1",
    b"0x1f",
    b"1e5",
    b".5",
    b"1_000",
    b"null",
    b"true",
    b" and ",
    b" or ",
    b"not ",
    b" in (",
    b" between ",
    b" like ",
    b" is null",
    b"exists (",
    b"with a as (",
    b"recursive ",
    b" materialized ",
    b" union all ",
    b" except ",
    b" intersect ",
    b" join ",
    b" left join ",
    b" lateral ",
    b" on ",
    b" using (id)",
    b" group by ",
    b" having ",
    b" order by ",
    b" limit ",
    b" offset ",
    b" fetch first row only",
    b" for update",
    b" window w as (",
    b" over (",
    b" filter (where ",
    b"values (",
    b"table ",
    b"only ",
    b"insert into ",
    b" on conflict do nothing",
    b" returning ",
    b"update ",
    b" set ",
    b"delete from ",
    b"merge into ",
    b"truncate ",
    b"copy ",
    b" to stdout",
    b" from stdin",
    b" with (format csv)",
    b"explain ",
    b"analyze ",
    b"prepare a as ",
    b"execute a",
    b"deallocate all",
    b"declare c cursor for ",
    b"fetch all from c",
    b"close c",
    b"begin;",
    b"commit;",
    b"rollback;",
    b"set search_path = ",
    b"set role ",
    b"reset all",
    b"discard all",
    b"set local ",
    b"create temp table ",
    b"create view v as ",
    b"drop table ",
    b"alter table ",
    b"grant select on ",
    b"do ",
    b"call f_all()",
    b"listen x",
    b"case when ",
    b" then ",
    b" end",
    b"cast(",
    b" as text)",
    b"array[",
    b"row(",
    b"string_agg(",
    b"json_agg(",
    b"count(",
    b"query_to_xml('",
    b"f_all()",
    b"f_page(1)",
    b"f_native()",
    b"pg_read_file('",
    b"set_config('",
    b"current_setting('",
    b"customers'::regclass",
    b"interval '1 day'",
    b"date '2024-01-01'",
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b"\xe2\x80\x8b",
    b"\xe2\x80\xae",
    b"`",
    b"``",
    b"`customers`",
    b"support.",
    b"\"a\"",
    b"\\",
    b"#",
    b"-- ",
    b"/*!",
    b"/*!50000 ",
    b"/*!99999 ",
    b"/*!090000 ",
    b"/*M!100100 ",
    b"/*+ set_var(sql_mode='') */",
    b"_utf8mb4'",
    b"_binary ",
    b"0x41",
    b"0b1",
    b"@a",
    b"@'",
    b"@`",
    b"@@",
    b"@@global.",
    b"?",
    b":=",
    b"<=>",
    b"&&",
    b"\\N",
    b"{d '",
    b"}",
    b"1.e",
    b"t.1a",
    b" rlike ",
    b" div ",
    b" xor ",
    b" regexp ",
    b"replace into ",
    b"handler customers read first",
    b" into outfile '",
    b" into @v",
    b"load data infile 'a' into table ",
    b" lock in share mode",
    b"set sql_mode = ",
    b"prepare s from ",
    b"execute immediate ",
    b"set statement max_statement_time = 1 for ",
    b"begin not atomic ",
    b" for system_time all",
    b"call p_all()",
    b"group_concat(",
    b" separator ','",
    b"show create table ",
    b"use archive;",
    b"describe ",
];

static CATALOG: LazyLock<Catalog> = LazyLock::new(support_desk::catalog);
static SEARCH_PATH: LazyLock<Vec<String>> = LazyLock::new(support_desk::search_path);

fn statements() -> Vec<(String, Vec<u8>)> {
    let mut all = seeds::statements();
    all.extend(mysql::statements());
    all
}

fn check(input: &[u8]) -> Traces {
    let (flags, text) = input.split_first().map_or((1, input), |(flags, text)| (*flags, text));
    let lex = if flags & mysql::FLAG == 0 { LexSettings::postgres(flags & 1 == 1) } else { mysql::settings(flags) };
    let shape = shape(text, lex);
    literals_lie_in_order(text, &shape, lex);
    let analysis = analysed(text, lex);
    assert!(!analysis.statements.is_empty(), "no statement");
    for statement in &analysis.statements {
        says_what_it_knows(statement, shape.literals.len(), lex);
    }
    assert!(analysis.redacted.len() <= REDACTED_BYTES_MAX, "{} bytes of redacted text", analysis.redacted.len());
    assert!(!analysis.redacted.chars().any(char::is_control), "a control character in `{:?}`", analysis.redacted);
    redacted_of_literals(text, &shape, &analysis, lex);
    literals_change_nothing(text, &shape, &analysis, lex);
    traces(&analysis, lex)
}

fn analysed(text: &[u8], lex: LexSettings) -> Analysis {
    let search_path: &[String] = match lex {
        LexSettings::Postgres { .. } => &SEARCH_PATH,
        LexSettings::Mysql(_) => &mysql::SEARCH_PATH,
    };
    analyse(text, &Context { lex, catalog: catalog(lex), search_path, temporary: &[] })
}

fn catalog(lex: LexSettings) -> &'static Catalog {
    match lex {
        LexSettings::Postgres { .. } => &CATALOG,
        LexSettings::Mysql(_) => &mysql::CATALOG,
    }
}

fn literals_lie_in_order(text: &[u8], shape: &Shape, lex: LexSettings) {
    let mut end = 0;
    for literal in &shape.literals {
        assert!(literal.range.start >= end && literal.range.start < literal.range.end, "literals overlap: {shape:?}");
        end = literal.range.end;
        assert!(end <= text.len(), "a literal beyond the text: {shape:?}");
        if let Some(value) = literal_value(text, literal, lex) {
            // `\u` and `U&` take at least as many bytes as they stand for; a number may be written with an exponent.
            assert!(
                literal.kind == LiteralKind::Number || value.len() <= literal.range.len(),
                "a value grew: {literal:?}"
            );
        }
    }
}

fn says_what_it_knows(statement: &StatementAnalysis, literals: usize, lex: LexSettings) {
    assert!(
        statement.coverage == Coverage::Full || !statement.gaps.is_empty(),
        "coverage is {:?} and nobody says why",
        statement.coverage
    );
    let points = |operand: &Operand| match operand {
        Operand::Literal(index) => *index < literals,
        Operand::Param(_) => true,
    };
    for usage in &statement.uses {
        assert!(
            usage.oid == 0 || catalog(lex).by_oid(usage.oid).is_some(),
            "an oid that the catalog does not have: {usage:?}"
        );
        assert!(usage.pin.iter().flatten().all(points), "a pin points nowhere: {usage:?}");
    }
    if let Extent::Limited(operand) = &statement.extent {
        assert!(points(operand), "a limit points nowhere");
    }
    for act in &statement.acts {
        if let SessionAct::Prepare { body, .. } | SessionAct::DeclareCursor { body, .. } = act {
            says_what_it_knows(body, literals, lex);
        }
    }
}

/// No word of a literal stands in the redacted text, unless the text says it elsewhere, too.
fn redacted_of_literals(text: &[u8], shape: &Shape, analysis: &Analysis, lex: LexSettings) {
    const WORD_CHARS_MIN: usize = 4;
    let lower = text.to_ascii_lowercase();
    // An escaped identifier stands decoded in the redacted text, and may happen to be a literal's word.
    let decodes = match lex {
        LexSettings::Postgres { .. } => lower.windows(3).any(|part| part == b"u&\""),
        LexSettings::Mysql(_) => lower.contains(&b'@') && lower.contains(&b'\\'),
    };
    if decodes {
        return;
    }
    let mut outside = lower.clone();
    for literal in &shape.literals {
        outside[literal.range.clone()].fill(b' ');
    }
    let redacted = analysis.redacted.to_ascii_lowercase();
    for literal in &shape.literals {
        for word in lower[literal.range.clone()].split(|byte| !byte.is_ascii_alphanumeric()) {
            if word.len() >= WORD_CHARS_MIN && !outside.windows(word.len()).any(|part| part == word) {
                let word = String::from_utf8_lossy(word);
                assert!(!redacted.contains(&*word), "`{word}` of a literal stands in `{redacted}`");
            }
        }
    }
}

/// With every plain literal exchanged the text is the same shape and means the same; with every literal exchanged, not
/// one shows.
fn literals_change_nothing(text: &[u8], shape: &Shape, analysis: &Analysis, lex: LexSettings) {
    // A text that does not end keeps everything in its key, and claims nothing.
    let ends = !analysis.statements.iter().flat_map(|statement| &statement.gaps).any(|gap| gap.code == "unterminated");
    if ends {
        let other = exchanged(text, shape, false, lex);
        let shown = String::from_utf8_lossy(&other);
        assert_eq!(weir_policy::analysis::shape(&other, lex).key, shape.key, "another shape: {shown}");
        let other = analysed(&other, lex);
        assert_eq!(other.redacted, analysis.redacted, "another redaction: {shown}");
        assert_eq!(other.statements.len(), analysis.statements.len(), "more or fewer statements: {shown}");
        for (one, other) in analysis.statements.iter().zip(&other.statements) {
            assert_eq!((one.verb, one.coverage), (other.verb, other.coverage), "another reading: {shown}");
            assert_eq!(one.uses, other.uses, "other relations: {shown}");
            assert_eq!(one.acts, other.acts, "other acts: {shown}");
            assert_eq!(one.gaps, other.gaps, "other gaps: {shown}");
        }
        assert_eq!(other, *analysis, "another meaning: {shown}");
    }
    let other = analysed(&exchanged(text, shape, true, lex), lex);
    assert!(!other.redacted.contains(CANARY), "a literal stands in `{}`", other.redacted);
    for gap in other.statements.iter().flat_map(|statement| &statement.gaps) {
        assert!(!gap.subject.contains(CANARY), "a literal stands in a gap: {gap:?}");
    }
}

/// The text with plain literals, or all that have a value, replaced by others of their kind. Each stands apart from its
/// neighbours, so that it cannot grow together with them.
fn exchanged(text: &[u8], shape: &Shape, kept: bool, lex: LexSettings) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + shape.literals.len() * 16);
    let mut at = 0;
    for literal in &shape.literals {
        let raw = &text[literal.range.clone()];
        out.extend_from_slice(&text[at..literal.range.start]);
        at = literal.range.end;
        if let LexSettings::Mysql(_) = lex {
            let stays = (literal.kept && !kept) || literal_value(text, literal, lex).is_none();
            match mysql::other(raw, literal.kind).filter(|_| !stays) {
                Some(other) => out.extend_from_slice(other.as_bytes()),
                None => out.extend_from_slice(raw),
            }
            continue;
        }
        let (before, after) = match literal.kind {
            _ if (literal.kept && !kept) || literal_value(text, literal, lex).is_none() => ("", ""),
            // A string without an end makes another text of everything behind it.
            LiteralKind::String(_) if raw.len() < 2 || !raw.ends_with(b"'") && !raw.ends_with(b"$") => ("", ""),
            // What may follow a number depends on how it is written.
            LiteralKind::Number if !raw.iter().all(u8::is_ascii_digit) => ("", ""),
            LiteralKind::Number => ("7", "7"),
            // PostgreSQL's are kept, or there are none.
            LiteralKind::Bits | LiteralKind::String(Quoting::Charset) => ("", ""),
            LiteralKind::String(Quoting::Escape) => ("E'", "'"),
            LiteralKind::String(Quoting::Unicode) => ("U&'", "'"),
            LiteralKind::String(Quoting::Dollar) => ("$$", "$$"),
            LiteralKind::String(Quoting::Standard) if raw.starts_with(b"'") => ("'", "'"),
            LiteralKind::String(Quoting::Standard) => ("N'", "'"),
        };
        match before {
            "" => out.extend_from_slice(raw),
            "7" => out.extend_from_slice(b" 7 "),
            _ => out.extend_from_slice(format!(" {before}{CANARY}{after} ").as_bytes()),
        }
    }
    out.extend_from_slice(&text[at..]);
    out
}

fn traces(analysis: &Analysis, lex: LexSettings) -> Traces {
    let mut traces = Traces::default();
    traces.add("statements", analysis.statements.len().min(4));
    for statement in &analysis.statements {
        let verb = format!("{:?} {:?}", lex.engine(), statement.verb);
        traces.add(&verb, (statement.coverage, statement.uses.len().min(6)));
        traces.add(&verb, &statement.accesses);
        traces.add(&verb, format!("{:?}", statement.extent).split('(').next());
        for gap in &statement.gaps {
            traces.add(&verb, gap.code);
        }
        for usage in &statement.uses {
            let some = |columns: &Columns| match columns {
                Columns::None => 'n',
                Columns::Some(_) => 's',
                Columns::All => 'a',
            };
            let columns = [some(&usage.released), some(&usage.packed), some(&usage.used)];
            traces.add(&verb, (usage.access, usage.source, columns, usage.pin.is_some(), usage.packed_whole));
            traces.add(&verb, (usage.oid, usage.via.len().min(3)));
        }
        for act in &statement.acts {
            traces.add(&verb, format!("{act:?}").split([' ', '(', '{']).next());
        }
    }
    traces
}
