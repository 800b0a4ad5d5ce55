//! Breadth: across how many tenants one person reads, and two people between them.
//!
//! A tenant is a value of the columns that a dataset names as `tenant`, seen in a row that left or asked for by equality.
//! One person's tenants of a day are compared as their records are (see [`enumeration`](super::enumeration)), and a fixed
//! limit may be given for a day or a month.
//!
//! **Joint.** People who are broad already, three quarters of the way to where they would be told of, are held beside each
//! other: two who have hardly a tenant in common (a tenth of the smaller set at most) and half as many again together as
//! one may have, have divided the work. It is grave where chance would have given them many in common, or where they have
//! half of all tenants that anybody has seen.

use std::sync::Arc;

use super::enumeration::{Day, compare, learnt, member};
use super::observation::{Observation, Stage};
use super::peers::{Broad, Counted, Peers, shares_group};
use super::scene::{Finding, Scene};
use super::usual::{Usual, scaled};
use super::watch::{Detector, Watch, watches};
use crate::budget::Window;
use crate::identity::Who;
use crate::ledger::{Ledger, LedgerTime, day_of};
use crate::rule::Then;
use crate::verdict::Measure;

/// Share of the limit from which somebody is held beside others, in percent.
const WORTHY: u64 = 75;
/// What two people must have together, in percent of one's limit.
const TOGETHER: u64 = 150;
/// Days over which two people are held beside each other.
const JOINT_DAYS: u32 = 7;
/// Tenants that chance would have given to both, from which on having few in common says something.
const CHANCE_MIN: u64 = 4;

pub(super) fn learn(who: &Who, seen: &Observation, ledger: &mut Ledger, peers: &mut Peers, now: LedgerTime) {
    let today = day_of(now);
    for tenant in seen.tenants.iter().take(super::PARTS_MAX) {
        ledger.habits.tenant(&tenant.dataset, tenant.hash, today);
        peers.tenant(&tenant.dataset, tenant.hash, today);
    }
    for dataset in datasets(seen) {
        if let Some(breadth) = ledger.habits.breadth(&dataset) {
            peers.count(who, Counted::Tenants, &dataset, member(&breadth.days, today), now);
        }
    }
}

pub(super) fn look(scene: &mut Scene<'_>) {
    let before = scene.seen.stage == Stage::Before;
    for dataset in datasets(scene.seen) {
        for detector in [Detector::Breadth, Detector::JointBreadth] {
            let found = watches(&scene.set.detect.watches, detector, scene.who, Some(&dataset));
            for watch in found.into_iter().filter(|watch| !before || watch.then == Then::Refuse) {
                match detector {
                    Detector::Breadth => look_at(scene, &dataset, watch),
                    _ => look_beside(scene, &dataset, watch),
                }
            }
        }
    }
}

/// Datasets whose tenants it has seen, each once.
fn datasets(seen: &Observation) -> Vec<Arc<str>> {
    let mut found: Vec<Arc<str>> = Vec::new();
    for tenant in &seen.tenants {
        if !found.contains(&tenant.dataset) {
            found.push(tenant.dataset.clone());
        }
    }
    found
}

fn look_at(scene: &mut Scene<'_>, dataset: &Arc<str>, watch: &Watch) {
    let Some(breadth) = scene.ledger.habits.breadth(dataset).cloned() else { return };
    let finding = |about, limit, before, after, window, message, grave| Finding {
        detector: Detector::Breadth,
        watch,
        dataset: Some(dataset.clone()),
        about,
        unit: Measure::Tenants,
        window: Some(window),
        limit,
        before,
        after,
        message,
        grave,
        days: 1,
    };
    if let Some((limit, window)) = watch.limit {
        let count = breadth.tenants.count(since(window, scene.today));
        if count > limit {
            let message = format!("{count} distinct tenants of `{dataset}` per {window}; {limit} are the limit");
            scene.found(finding("limit", limit, limit, count, window, message, true));
        }
    }
    let learnt = learnt(scene, watch);
    let count = breadth.tenants.count(scene.today);
    let common = scene.peers.common(scene.who, Counted::Tenants, dataset, scene.now);
    let day = Day { counted: Counted::Tenants, dataset, days: &breadth.days, count, today: scene.today };
    for (about, limit, usual, message, grave) in compare(scene, &day, common.as_ref(), (watch, learnt)) {
        let days = if about == "beside" { 30 } else { 1 };
        let finding = finding(about, limit, usual, count, Window::Day, message, grave);
        scene.found(Finding { days, ..finding });
    }
}

/// The first day of a window that ends today.
fn since(window: Window, today: u32) -> u32 {
    match window {
        Window::Month => today.saturating_sub(super::habits::MONTH_DAYS - 1),
        _ => today,
    }
}

/// Where one person's breadth of a day would be told of.
fn limit(scene: &mut Scene<'_>, dataset: &Arc<str>, watch: &Watch) -> Option<u64> {
    if let Some((limit, _)) = watch.limit {
        return Some(limit);
    }
    if !scene.ledger.habits.is_learnt(watch.learning_ms, scene.now) {
        return None;
    }
    let usual = Usual::of(&scene.ledger.habits.breadth(dataset)?.days, scene.today)?;
    let common = scene.peers.common(scene.who, Counted::Tenants, dataset, scene.now);
    let (high, ratio) = common.map_or((0, 100), |(_, common)| (common.high, common.ratio));
    Some(watch.floor.max(scaled(scaled(usual.median.max(high), ratio), watch.factor)))
}

fn look_beside(scene: &mut Scene<'_>, dataset: &Arc<str>, watch: &Watch) {
    let Some(limit) = limit(scene, dataset, watch) else { return };
    let Some(breadth) = scene.ledger.habits.breadth(dataset).cloned() else { return };
    if breadth.tenants.count(scene.today) < scaled(limit, WORTHY) {
        return;
    }
    let since = scene.today.saturating_sub(JOINT_DAYS - 1);
    let mine = breadth.tenants.count(since);
    let (who, today) = (scene.who, scene.today);
    let me = Broad {
        person: who.person.clone(),
        groups: who.groups.clone(),
        dataset: dataset.clone(),
        tenants: breadth.tenants.clone(),
        day: today,
    };
    let space = scene.peers.tenants(dataset);
    let mut found = Vec::new();
    for other in scene.peers.broad(me, since).filter(|other| shares_group(&other.groups, &who.groups)) {
        let overlap = breadth.tenants.overlap(&other.tenants, since);
        let theirs = other.tenants.count(since);
        let apart = overlap.common.saturating_mul(10) <= mine.min(theirs);
        if !apart || overlap.union < scaled(limit, TOGETHER) {
            continue;
        }
        let chance = mine.saturating_mul(theirs) / space.max(1);
        let divided = chance >= CHANCE_MIN && overlap.common.saturating_mul(4) <= chance;
        let grave = divided || overlap.union.saturating_mul(2) >= space;
        let message = format!(
            "together with {} they have seen {} of {space} known tenants of `{dataset}` in {JOINT_DAYS} days ({mine} and \
             {theirs}) and {} of them both; chance would be {chance}, and {limit} are a day's limit of one",
            other.person, overlap.union, overlap.common
        );
        found.push((other.person.clone(), overlap.union, message, grave));
    }
    for (other, union, message, grave) in found {
        scene.found(Finding {
            detector: Detector::JointBreadth,
            watch,
            dataset: Some(dataset.clone()),
            about: &other,
            unit: Measure::Tenants,
            window: None,
            limit: scaled(limit, TOGETHER),
            before: mine,
            after: union,
            message,
            grave,
            days: JOINT_DAYS,
        });
    }
}
