//! First use: a relation, a column or a privilege that neither the person nor anybody of their groups has used before.
//!
//! What a colleague does is no news; what nobody of the role ever did is, whatever the amount. Uses are remembered for a
//! hundred days.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::observation::{Observation, Reach, Stage, name_hash};
use super::peers::Peers;
use super::scene::{Finding, Scene};
use super::watch::{Detector, Watch, watches};
use crate::identity::Who;
use crate::ledger::{Ledger, LedgerTime, day_of};
use crate::statement::Access;
use crate::verdict::Measure;

/// Columns of one relation that are looked at.
const COLUMNS_MAX: usize = 64;
/// Columns that a message names.
const NAMED_MAX: usize = 6;

pub(super) fn remember(who: &Who, seen: &Observation, ledger: &mut Ledger, peers: &mut Peers, now: LedgerTime) {
    let today = day_of(now);
    let mut put = |hash: u64| {
        ledger.habits.known.put(hash, today);
        peers.groups_of(who, now).for_each(|group| group.known.put(hash, today));
    };
    for reach in seen.reached.iter().take(super::PARTS_MAX).filter(|reach| counts(reach)) {
        put(relation_hash(reach));
        columns(reach).for_each(|column| put(column_hash(reach, column)));
    }
    seen.privileges.iter().for_each(|access| put(privilege_hash(*access)));
}

/// What only compares columns is no use of them.
fn counts(reach: &Reach) -> bool {
    reach.leaves || reach.access != Access::Read
}

fn columns(reach: &Reach) -> impl Iterator<Item = &Arc<str>> {
    reach.columns.iter().take(COLUMNS_MAX)
}

fn relation_hash(reach: &Reach) -> u64 {
    let id = &reach.relation;
    name_hash(&["use", word(reach.access), &reach.dataset, &id.database, &id.schema, &id.name])
}

fn column_hash(reach: &Reach, column: &str) -> u64 {
    let id = &reach.relation;
    name_hash(&["column", word(reach.access), &reach.dataset, &id.database, &id.schema, &id.name, column])
}

pub(super) fn privilege_hash(access: Access) -> u64 {
    name_hash(&["privilege", word(access)])
}

/// The word for an access.
pub(super) fn word(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Export => "export",
        Access::Write => "write",
        Access::Ddl => "ddl",
        Access::Grant => "grant",
        Access::SetRole => "set-role",
        Access::Definer => "definer",
        Access::Configure => "configure",
        Access::AuditOff => "audit-off",
    }
}

/// What of a use is new to somebody.
#[derive(Clone, Copy, PartialEq, Eq)]
enum News {
    /// They have done so before.
    None,
    /// To the person; others of their groups do.
    Person,
    /// To the person, and to everybody of their groups.
    All,
}

fn news(scene: &mut Scene<'_>, hash: u64) -> News {
    if scene.ledger.habits.known.has(hash, scene.today) {
        return News::None;
    }
    let (who, today) = (scene.who, scene.today);
    match scene.peers.groups_of(who, scene.now).any(|group| group.known.has(hash, today)) {
        true => News::Person,
        false => News::All,
    }
}

/// Whether enough is known of the person, or of a group of theirs, for something to be news.
fn is_learnt(scene: &mut Scene<'_>, learning_ms: u64) -> bool {
    let (who, now) = (scene.who, scene.now);
    scene.ledger.habits.is_learnt(learning_ms, now)
        || scene.peers.groups_of(who, now).any(|group| group.is_learnt(learning_ms, now))
}

/// Privileges and writes of sensitive relations that the person themselves never used, in words.
pub(super) fn new_powers(scene: &mut Scene<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for access in scene.seen.privileges.iter().copied() {
        if news(scene, privilege_hash(access)) != News::None {
            found.push(format!("`{}`", word(access)));
        }
    }
    for reach in scene.seen.reached.iter().filter(|reach| reach.access != Access::Read) {
        if news(scene, relation_hash(reach)) != News::None {
            found.push(format!("`{}` of `{}`", word(reach.access), reach.relation));
        }
    }
    found.sort();
    found.dedup();
    found
}

pub(super) fn look(scene: &mut Scene<'_>) {
    if scene.seen.stage == Stage::Arrival {
        return;
    }
    let mut reached: BTreeMap<u64, &Reach> = BTreeMap::new();
    for reach in scene.seen.reached.iter().take(super::PARTS_MAX).filter(|reach| counts(reach)) {
        reached.entry(relation_hash(reach)).or_insert(reach);
    }
    for (hash, reach) in reached {
        let fresh: Vec<&str> = columns(reach)
            .filter(|column| news(scene, column_hash(reach, column)) == News::All)
            .map(AsRef::as_ref)
            .collect();
        let whole = news(scene, hash) == News::All;
        if !whole && fresh.is_empty() {
            continue;
        }
        for watch in watches(&scene.set.detect.watches, Detector::FirstUse, scene.who, Some(&reach.dataset)) {
            if is_learnt(scene, watch.learning_ms) {
                tell(scene, watch, reach, &fresh);
            }
        }
    }
    for access in scene.seen.privileges.iter().copied() {
        if news(scene, privilege_hash(access)) != News::All {
            continue;
        }
        for watch in watches(&scene.set.detect.watches, Detector::FirstUse, scene.who, None) {
            if is_learnt(scene, watch.learning_ms) {
                let message = format!("first `{}` by them{}; 0 are usual", word(access), beside(scene));
                found(scene, watch, None, word(access), message, true);
            }
        }
    }
}

fn tell(scene: &mut Scene<'_>, watch: &Watch, reach: &Reach, fresh: &[&str]) {
    let watched = scene.set.is_watched(&reach.dataset);
    let named: Vec<String> = fresh.iter().take(NAMED_MAX).map(|column| format!("`{column}`")).collect();
    let more = match fresh.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let what = match named.is_empty() {
        true => String::new(),
        false => format!("{}{more} of ", named.join(", ")),
    };
    let is_watched = if watched { ", which is watched" } else { "" };
    let message = format!(
        "first `{}` of {what}`{}` (`{}`{is_watched}) by them{}; 0 are usual",
        word(reach.access),
        reach.relation,
        reach.dataset,
        beside(scene)
    );
    let about = format!("{} {} {}", word(reach.access), reach.relation, fresh.join(","));
    found(scene, watch, Some(reach.dataset.clone()), &about, message, watched || reach.access != Access::Read);
}

fn found(scene: &mut Scene<'_>, watch: &Watch, dataset: Option<Arc<str>>, about: &str, message: String, grave: bool) {
    scene.found(Finding {
        detector: Detector::FirstUse,
        watch,
        dataset,
        about,
        unit: Measure::Statements,
        window: None,
        limit: 0,
        before: 0,
        after: 1,
        message,
        grave,
        days: 1,
    });
}

/// Who else has not done so.
fn beside(scene: &Scene<'_>) -> String {
    match scene.who.groups.as_slice() {
        [] => ", who are in no group".to_owned(),
        groups => {
            let names: Vec<String> = groups.iter().map(|group| format!("`{group}`")).collect();
            format!(" and by anybody in {}, in {} days", names.join(", "), super::known::MEMORY_DAYS)
        }
    }
}
