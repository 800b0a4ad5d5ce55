//! Observations: from the words of policy to those of the log, and back when habits are built anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weir_audit_store::Event;
use weir_audit_store::event::{Body, Hashes, Observed, Reached};
use weir_policy::detect::{Observation, PARTS_MAX, Reach, Stage, Tenant, Term};
use weir_policy::identity::Who;
use weir_policy::statement::Access;

use super::taken::{engine, relation_id};

/// An observation as a record tells it; `None` where nothing but other parts of the record is in it.
pub fn observed(seen: &Observation) -> Option<Observed> {
    let reached = seen.reached.iter().take(PARTS_MAX).map(|reach| Reached {
        dataset: reach.dataset.to_string(),
        relation: reach.relation.to_string(),
        engine: engine(reach.relation.engine).to_owned(),
        database: reach.relation.database.to_string(),
        access: super::access(reach.access).to_owned(),
        columns: reach.columns.iter().map(ToString::to_string).collect(),
        leaves: reach.leaves,
        by_key: reach.by_key,
    });
    let observed = Observed {
        reached: reached.collect(),
        privileges: seen.privileges.iter().map(|access| super::access(*access).to_owned()).collect(),
        tenants: hashes(seen.tenants.iter().map(|tenant| (&tenant.dataset, tenant.hash))),
        terms: hashes(seen.terms.iter().map(|term| (&term.dataset, term.hash))),
    };
    (observed != Observed::default()).then_some(observed)
}

/// Adds what was observed later.
pub fn add(known: &mut Option<Observed>, more: Option<Observed>) {
    let Some(more) = more else { return };
    let known = known.get_or_insert_default();
    known.reached.extend(more.reached);
    known.privileges.extend(more.privileges);
    known.tenants.extend(more.tenants);
    known.terms.extend(more.terms);
}

fn hashes<'a>(parts: impl Iterator<Item = (&'a Arc<str>, u64)>) -> Vec<Hashes> {
    let mut by_dataset: BTreeMap<&Arc<str>, Vec<u8>> = BTreeMap::new();
    for (dataset, hash) in parts.take(PARTS_MAX) {
        by_dataset.entry(dataset).or_default().extend(hash.to_be_bytes());
    }
    let line = |(dataset, bytes): (&Arc<str>, Vec<u8>)| Hashes {
        dataset: dataset.to_string(),
        hashes: STANDARD.encode(bytes),
    };
    by_dataset.into_iter().map(line).collect()
}

fn told(hashes: &[Hashes]) -> Vec<(Arc<str>, u64)> {
    let mut found = Vec::new();
    for line in hashes {
        let dataset: Arc<str> = line.dataset.as_str().into();
        let bytes = STANDARD.decode(&line.hashes).unwrap_or_default();
        let hash = |chunk: &[u8]| chunk.iter().fold(0, |hash, byte| (hash << 8) | u64::from(*byte));
        found.extend(bytes.chunks_exact(8).take(PARTS_MAX).map(|chunk| (dataset.clone(), hash(chunk))));
    }
    found
}

/// What a record tells of how its person works, and who that is; `None`: nothing.
pub fn seen(event: &Event) -> Option<(Who, Observation)> {
    let person = event.person.as_ref()?;
    let session = event.session.as_ref();
    let arrived = matches!(event.body, Body::SessionStart(_));
    if !arrived && event.observed.is_none() && event.charged.is_empty() {
        return None;
    }
    let client = session.and_then(|session| session.client.parse::<std::net::SocketAddr>().ok());
    let who = Who {
        person: person.id.as_str().into(),
        known: person.known,
        groups: person.groups.iter().map(|group| group.as_str().into()).collect(),
        account: session.map_or("", |session| session.account.as_str()).into(),
        source: client.map(|client| client.ip()),
        application: session.and_then(|session| session.application.as_deref()).unwrap_or_default().into(),
        ..Who::default()
    };
    let observed = event.observed.clone().unwrap_or_default();
    let mut taken: Vec<Arc<str>> = event.charged.iter().map(|charge| charge.dataset.as_str().into()).collect();
    taken.dedup();
    let seen = Observation {
        stage: if arrived { Stage::Arrival } else { Stage::After },
        reached: observed.reached.iter().filter_map(reach).collect(),
        privileges: observed.privileges.iter().filter_map(|word| access(word)).collect(),
        tenants: told(&observed.tenants).into_iter().map(|(dataset, hash)| Tenant { dataset, hash }).collect(),
        terms: told(&observed.terms).into_iter().map(|(dataset, hash)| Term { dataset, hash }).collect(),
        tables: Vec::new(),
        lists_catalog: false,
        taken,
    };
    Some((who, seen))
}

fn reach(told: &Reached) -> Option<Reach> {
    Some(Reach {
        dataset: told.dataset.as_str().into(),
        relation: relation_id(&told.engine, &told.database, &told.relation),
        access: access(&told.access)?,
        columns: told.columns.iter().map(|column| column.as_str().into()).collect(),
        leaves: told.leaves,
        by_key: told.by_key,
    })
}

fn access(word: &str) -> Option<Access> {
    let all = [
        Access::Read,
        Access::Export,
        Access::Write,
        Access::Ddl,
        Access::Grant,
        Access::SetRole,
        Access::Definer,
        Access::Configure,
        Access::AuditOff,
    ];
    all.into_iter().find(|access| super::access(*access) == word)
}

#[cfg(test)]
mod tests {
    use weir_audit_store::event::{Person, Session};
    use weir_policy::relation::Engine;

    use super::*;

    #[test]
    fn what_a_record_holds_comes_back() {
        let mut seen = Observation {
            reached: vec![Reach {
                dataset: "customers".into(),
                relation: relation_id("postgres", "support", "public.customers"),
                access: Access::Read,
                columns: vec!["email".into()],
                leaves: true,
                by_key: false,
            }],
            privileges: vec![Access::Grant],
            tenants: [3, u64::MAX].map(|hash| Tenant { dataset: "customers".into(), hash }).to_vec(),
            terms: vec![Term { dataset: "deals".into(), hash: 1 << 63 }],
            ..Observation::default()
        };
        let mut event = Event::new(
            5,
            5,
            "b",
            Body::Completion(weir_audit_store::event::Completion {
                outcome: weir_audit_store::event::Outcome::Complete,
                rows: 0,
                bytes: 0,
                records: Vec::new(),
                doors: Vec::new(),
                duration_us: 0,
                sqlstate: None,
                tag: None,
            }),
        );
        event.person = Some(Person { id: "eve".to_owned(), groups: vec!["support".to_owned()], ..Person::default() });
        event.session = Some(Session { client: "10.0.0.7:4711".to_owned(), ..Session::default() });
        event.observed = observed(&seen);
        let (who, mut back) = super::seen(&event).unwrap();
        assert_eq!((&*who.person, who.source), ("eve", "10.0.0.7".parse().ok()));
        back.tenants.sort();
        seen.tenants.sort();
        assert_eq!(back, seen);
        assert_eq!(seen.reached[0].relation.engine, Engine::Postgres);
    }
}
