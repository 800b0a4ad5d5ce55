//! Ways around a budget, each shown to work on the server itself.
//!
//! The judge is neither the policy nor the log but the bytes that reach the client: how many different customers'
//! addresses are in them, wherever they stand: rows, COPY data, notices, error texts.

mod code;
mod doors;
mod mysql;
mod names;
mod probes;
mod protocol;
mod sql;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use weir_tests::frames::Message;
use weir_tests::raw::{Raw, Reply};

/// One step of an evasion.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A simple query.
    Query(&'static str),
    /// Parse, Bind, Describe, Execute, Sync.
    Extended(&'static str),
    /// The same query for `{}` from 1 to 60.
    Each(&'static str),
}

/// A way to many customers.
struct Evasion {
    name: &'static str,
    steps: &'static [Step],
}

/// Runs the steps and returns every message that came back.
fn play(address: SocketAddr, user: &str, steps: &[Step]) -> Vec<Message> {
    let mut client = Raw::login(address, user, "support");
    let mut messages = Vec::new();
    let mut take = |reply: Reply| {
        let ended = reply.end.is_some();
        messages.extend(reply.messages);
        ended
    };
    for step in steps {
        let ended = match step {
            Step::Query(sql) => take(client.query(sql)),
            Step::Extended(sql) => take(client.extended(sql, &[])),
            Step::Each(sql) => (1..=60).any(|number| take(client.query(&sql.replace("{}", &number.to_string())))),
        };
        if ended {
            break;
        }
    }
    messages
}

/// Numbers of the customers whose e-mail address or phone stands in these messages, in text or in hex.
fn customers_in(messages: &[Message]) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for message in messages {
        numbers_after(&message.body, b"customer", &mut found);
        numbers_after(&message.body, b"+49 30 ", &mut found);
        numbers_after(&message.body, b"Customer ", &mut found);
    }
    found
}

fn numbers_after(body: &[u8], mark: &[u8], found: &mut BTreeSet<u32>) {
    let mut rest = body;
    while let Some(position) = rest.windows(mark.len()).position(|window| window == mark) {
        rest = &rest[position + mark.len()..];
        let digits: String =
            rest.iter().take_while(|byte| byte.is_ascii_digit()).map(|byte| char::from(*byte)).collect();
        if let Ok(number) = digits.parse() {
            found.insert(number);
        }
    }
}
