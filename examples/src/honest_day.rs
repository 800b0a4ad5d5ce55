//! An agent's ordinary day: nothing of it may be refused, alerted on, or answered differently.

use crate::client::{Door, Reading, Session};
use crate::failure::Failure;
use crate::stage::Stage;
use crate::story::{Story, number};

/// Calls of the day; each is a handful of statements about one customer.
const CALLS: i64 = 16;

/// Rows of the list of waiting tickets.
const LIST_ROWS: u64 = 10;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct HonestDay {
    /// Statements sent.
    pub(crate) statements: u64,
    /// Errors received.
    pub(crate) refused: u64,
    /// Rows received.
    pub(crate) rows: u64,
    /// Statements whose answer had another number of rows than the question has.
    surprising: u64,
}

impl HonestDay {
    fn take(&mut self, story: &Story, prompt: &str, sql: &str, reading: &Reading, expected: u64) {
        self.statements += 1;
        self.rows += reading.rows;
        if let Some(refusal) = &reading.refusal {
            self.refused += 1;
            story.statement(prompt, sql);
            story.refusal(refusal);
        } else if reading.rows != expected {
            self.surprising += 1;
            story.statement(prompt, sql);
            story.say(&format!("{} rows where {expected} were expected", reading.rows));
        }
    }
}

/// Plays it at one of the doors.
pub(crate) async fn play(stage: &Stage<'_>, door: &Door, agent: &str, story: &mut Story) -> Result<HonestDay, Failure> {
    story.chapter(&format!("An honest day on {}", door.engine.server()));
    let alerts_before = stage.alerts()?.len();
    let step = story.step(&format!("{agent} answers {CALLS} calls: looks people up, reads and closes tickets, counts"));
    let mut day = HonestDay::default();
    let prompt = door.prompt(agent);
    let mut session = Session::open(door, agent).await?;
    for call in 0..CALLS {
        // Every customer whose number is divisible by three has a ticket, numbered by the third.
        let ticket = 101 + call * 997;
        let customer = ticket * 3;
        for (sql, expected) in by_hand(call, customer) {
            day.take(story, &prompt, &sql, &session.simple(&sql).await?, expected);
        }
        for (sql, expected) in BY_APPLICATION {
            let number = if sql.contains("from customers c") || sql.contains("from customers where") {
                customer
            } else {
                ticket
            };
            day.take(story, &prompt, sql, &session.prepared(sql, number).await?, expected);
        }
        step.progress(&format!("{} statements", day.statements));
    }
    session.close().await;
    step.done();
    let counted = format!("{} statements, {} rows, {} refused", day.statements, number(day.rows), day.refused);
    story.check(day.refused == 0 && day.surprising == 0, &counted);
    if stage.weir.is_some() {
        let alerts = stage.alerts()?.len() - alerts_before;
        story.check(alerts == 0, &format!("{alerts} alerts"));
    }
    Ok(day)
}

/// What an agent types or a tool sends as text.
fn by_hand(call: i64, customer: i64) -> Vec<(String, u64)> {
    let whom = match call % 2 {
        0 => format!("phone = '+1 555 {customer:07}'"),
        _ => format!("email like '%.{customer}@example.com'"),
    };
    let mut statements = vec![(format!("select id, name, email from customers where {whom}"), 1)];
    if call % 4 == 0 {
        statements.extend([
            ("select status, count(*) from tickets group by status order by status".to_owned(), 3),
            ("select count(*) from customers where city = 'Boston'".to_owned(), 1),
            (
                format!(
                    "select t.id, t.subject, c.id, c.name from tickets t join customers c on c.id = t.customer_id \
                     where t.assignee = 'bob' and t.status = 'waiting' order by t.opened_at limit {LIST_ROWS}"
                ),
                LIST_ROWS,
            ),
        ]);
    }
    statements
}

/// What the support application sends with a parameter.
const BY_APPLICATION: [(&str, u64); 4] = [
    ("select id, name, email, phone, city, since from customers where id = $1", 1),
    (
        "select c.id, c.name, t.id as ticket, t.subject, t.status from customers c join tickets t on t.customer_id = c.id where c.id = $1",
        1,
    ),
    ("select subject, status, note from tickets where id = $1", 1),
    ("update tickets set note = 'called back', status = 'closed' where id = $1", 0),
];
