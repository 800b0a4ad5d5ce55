//! Where the scenes play: the doors that clients use, and the Weir behind them, unless it is left out.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Door, Refusal};
use crate::failure::{Context, Failure};
use crate::story::Story;
use crate::weir::Weir;

/// How long an alert, or the last record of a statement, may take; the promise to a SIEM is a minute.
const RECORD_LIMIT: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(5);

/// The stage.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    /// What clients of PostgreSQL connect to.
    pub(crate) postgres: Door,
    /// What clients of MariaDB connect to.
    pub(crate) mariadb: Door,
    /// `None` where clients reach the server itself.
    pub(crate) weir: Option<&'a Weir>,
}

/// What the log says of a statement that was ended, and of the person behind it.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// The person, not the account.
    pub(crate) person: String,
    /// The rule that ended it.
    pub(crate) rule: String,
    /// Over which time the rule counts.
    pub(crate) window: String,
    /// Its budget.
    pub(crate) limit: u64,
    /// Its counter before the statement.
    pub(crate) before: u64,
    /// Its counter after the statement.
    pub(crate) after: u64,
}

/// Whose statements are added up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whose {
    /// Those of one session.
    Session,
    /// Those of one person, over all sessions and accounts.
    Person,
}

/// What the log says has left, over statements that have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Released {
    /// Rows.
    pub(crate) rows: u64,
    /// Records, as budgets count them.
    pub(crate) records: u64,
}

impl Stage<'_> {
    /// Alerts so far; none without Weir.
    pub(crate) fn alerts(&self) -> Result<Vec<Value>, Failure> {
        self.weir.map_or(Ok(Vec::new()), Weir::alerts)
    }

    /// Waits until the alert file names the reference; returns the seconds since `start`.
    pub(crate) async fn seconds_to_alert(&self, reference: &str, start: Instant) -> Result<Option<f64>, Failure> {
        let deadline = Instant::now() + RECORD_LIMIT;
        while Instant::now() < deadline {
            if self.alerts()?.iter().any(|alert| alert.to_string().contains(reference)) {
                return Ok(Some(start.elapsed().as_secs_f64()));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(None)
    }

    /// The verdict that the reference stands for, and what the log says has left to the session or person whom it names.
    pub(crate) async fn account(&self, reference: &str, whose: Whose) -> Result<Option<(Verdict, Released)>, Failure> {
        let Some(weir) = self.weir else { return Ok(None) };
        let deadline = Instant::now() + RECORD_LIMIT;
        while Instant::now() < deadline {
            let events = weir.events()?;
            let told = events.iter().find_map(|event| Some((verdict(event, reference)?, whose.of(event)?)));
            if let Some((verdict, id)) = told
                && let Some(released) = released(&events, whose, id)
            {
                return Ok(Some((verdict, released)));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(None)
    }
}

impl Whose {
    fn of(self, event: &Value) -> Option<&str> {
        match self {
            Whose::Session => event["session"]["id"].as_str(),
            Whose::Person => event["person"]["id"].as_str(),
        }
    }
}

impl Verdict {
    /// Says who, which rule, which window, and the counter.
    pub(crate) fn tell(&self, story: &Story) {
        let Verdict { person, rule, window, limit, before, after } = self;
        story.say(&format!("the log: {person}, rule {rule}, {limit} per {window}, counter {before} -> {after}"));
    }
}

/// The reference in an error, demanded.
pub(crate) fn reference(refusal: &Refusal, story: &mut Story) -> Option<String> {
    let reference = refusal.reference().map(str::to_owned);
    story.check(reference.is_some(), "the error has a reference that an analyst can look up");
    reference
}

/// A record of the log on one line: what happened, to whom, under which rule, the counter, and what left.
pub(crate) fn in_short(line: &str) -> Result<String, Failure> {
    let record: Value = serde_json::from_str(line).context(format_args!("not a record: {line}"))?;
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut words = vec![format!("{:>5} {:<13}", count(&record["seq"]), text(&record["kind"]))];
    if record["person"].is_object() {
        words.push(format!("{} as {}", text(&record["person"]["id"]), text(&record["session"]["account"])));
    }
    if let Some(rows) = record["detail"]["rows"].as_u64() {
        words.push(format!("{rows} rows"));
    }
    for line in record["basis"].as_array().into_iter().flatten().filter(|line| line["outcome"] != "allowed") {
        let (rule, window, outcome) = (text(&line["rule"]), text(&line["window"]), text(&line["outcome"]));
        let (before, after, limit) = (count(&line["before"]), count(&line["after"]), count(&line["limit"]));
        words.push(format!("{outcome} by {rule}, {window} {before} -> {after} of {limit}"));
    }
    if let Some(reference) = record["reference"].as_str() {
        words.push(reference.to_owned());
    }
    Ok(words.join("  "))
}

fn verdict(event: &Value, reference: &str) -> Option<Verdict> {
    if event["reference"].as_str() != Some(reference)
        || !matches!(event["kind"].as_str(), Some("completion" | "denial"))
    {
        return None;
    }
    let lines = event["basis"].as_array()?;
    let decisive = lines.iter().find(|line| matches!(line["outcome"].as_str(), Some("cut" | "refused")))?;
    Some(Verdict {
        person: event["person"]["id"].as_str()?.to_owned(),
        rule: decisive["rule"].as_str()?.to_owned(),
        window: decisive["window"].as_str()?.to_owned(),
        limit: decisive["limit"].as_u64()?,
        before: decisive["before"].as_u64()?,
        after: decisive["after"].as_u64()?,
    })
}

/// Sums the completions; `None` while an admission has none yet.
fn released(events: &[Value], whose: Whose, id: &str) -> Option<Released> {
    let of = |kind: &str| -> Vec<&Value> {
        let wanted = |event: &&Value| event["kind"].as_str() == Some(kind) && whose.of(event) == Some(id);
        events.iter().filter(wanted).collect()
    };
    let completions = of("completion");
    if completions.len() < of("admission").len() {
        return None;
    }
    let records = completions.iter().filter_map(|event| event["detail"]["records"].as_array()).flatten();
    Some(Released {
        rows: completions.iter().map(|event| count(&event["detail"]["rows"])).sum(),
        records: records.map(|line| count(&line["count"])).sum(),
    })
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Released, Whose, in_short, released, verdict};

    fn log() -> Vec<Value> {
        let completion = |session: &str, rows: u64, records: u64| {
            json!({
                "kind": "completion", "session": { "id": session }, "person": { "id": "alice" },
                "detail": { "outcome": "complete", "rows": rows, "records": [{ "dataset": "customers", "count": records }] },
            })
        };
        let admission =
            |session: &str| json!({ "kind": "admission", "session": { "id": session }, "person": { "id": "alice" } });
        let mut cut = completion("s2", 50, 50);
        cut["reference"] = json!("W-7F3K-9Q2M");
        cut["basis"] = json!([
            { "rule": "r", "window": "statement", "limit": 200, "before": 0, "after": 50, "outcome": "allowed" },
            { "rule": "r", "window": "hour", "limit": 500, "before": 450, "after": 500, "outcome": "cut" },
        ]);
        let alert =
            json!({ "kind": "alert", "reference": "W-7F3K-9Q2M", "person": { "id": "alice" }, "basis": cut["basis"] });
        vec![admission("s1"), completion("s1", 451, 450), admission("s2"), alert, cut]
    }

    #[test]
    fn the_decisive_counter_is_read_from_the_record_that_the_reference_names() {
        let log = log();
        assert!(log.iter().all(|event| verdict(event, "W-0000-0000").is_none()));
        let told: Vec<_> = log.iter().filter_map(|event| verdict(event, "W-7F3K-9Q2M")).collect();
        assert_eq!(told.len(), 1, "an alert is no verdict of its own");
        let verdict = &told[0];
        assert_eq!((verdict.window.as_str(), verdict.limit, verdict.before, verdict.after), ("hour", 500, 450, 500));
    }

    #[test]
    fn a_record_is_told_on_one_line() {
        let told = in_short(&log()[4].to_string()).unwrap();
        for words in ["alice as -", "50 rows", "cut by r, hour 450 -> 500 of 500", "W-7F3K-9Q2M"] {
            assert!(told.contains(words), "{told}");
        }
        assert!(in_short("free text").is_err());
    }

    #[test]
    fn what_left_is_added_up_when_every_admission_has_its_end() {
        let mut log = log();
        assert_eq!(released(&log, Whose::Session, "s2"), Some(Released { rows: 50, records: 50 }));
        assert_eq!(released(&log, Whose::Person, "alice"), Some(Released { rows: 501, records: 500 }));
        log.pop();
        assert_eq!(released(&log, Whose::Person, "alice"), None);
    }
}
