//! Enumeration, fast and slow: how many distinct records a person sees in a day or a month.
//!
//! Four measures, each with an alert of its own:
//! - **limit**: more than `distinct-keys` in the window, whatever is usual;
//! - **jump**: today is more than `factor` times what is usual for the person and for the busiest tenth of the peers
//!   (their medians; on a day when everybody has more to do, so much more);
//! - **drift**: today and the days before lie above the person's usual by a little, again and again;
//! - **beside**: the last days lie a fifth above those of the busiest tenth of the peers, whatever the person's own
//!   days were like.
//!
//! Records count by their keys: looking at one again is nothing new on that day.

use std::sync::Arc;

use super::observation::Stage;
use super::peers::{Common, Counted, Member};
use super::scene::{Finding, Scene};
use super::usual::{DRIFT_LIMIT, Usual, scaled};
use super::watch::{Detector, Watch};
use crate::budget::{Unit, Window};
use crate::identity::Who;
use crate::ledger::{Days, Ledger, LedgerTime, day_of};
use crate::rule::Then;
use crate::verdict::Measure;

/// Whole days that are compared with those of peers: a stretch that no single busy day makes.
const RECENT_DAYS: usize = 4;
/// How far above the busiest tenth of the peers these days must lie, in percent.
const BESIDE: u64 = 120;
/// Days for which it is told once that somebody is busier than all peers.
const BESIDE_DAYS: u32 = 30;

/// What is known about one count of a day.
pub(super) struct Day<'a> {
    pub(super) counted: Counted,
    pub(super) dataset: &'a Arc<str>,
    pub(super) days: &'a Days,
    pub(super) count: u64,
    pub(super) today: u32,
}

/// The person's days as peers are compared.
pub(super) fn member(days: &Days, today: u32) -> Member {
    let mut recent: Vec<u64> = days.before(today).rev().take(RECENT_DAYS).map(|(_, count)| u64::from(count)).collect();
    let whole = recent.len() == RECENT_DAYS;
    let mean = recent.drain(..).sum::<u64>() / u64::try_from(RECENT_DAYS).unwrap_or(1);
    Member {
        day: today,
        count: u64::from(days.on(today)),
        usual: Usual::of(days, today).map_or(0, |usual| usual.median),
        recent: if whole { mean } else { 0 },
    }
}

/// Takes up how far the person has come in these datasets.
pub(super) fn learn(who: &Who, datasets: &[Arc<str>], ledger: &Ledger, peers: &mut super::Peers, now: LedgerTime) {
    for dataset in datasets {
        if let Some(days) = ledger.days(dataset) {
            peers.count(who, Counted::Records, dataset, member(days, day_of(now)), now);
        }
    }
}

/// Of whom enough is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Learnt {
    person: bool,
    /// Of a group of theirs: who is new is held beside it.
    group: bool,
}

/// Of whom enough is known by an entry's time of learning.
pub(super) fn learnt(scene: &mut Scene<'_>, watch: &Watch) -> Learnt {
    let (who, now) = (scene.who, scene.now);
    Learnt {
        person: scene.ledger.habits.is_learnt(watch.learning_ms, now),
        group: scene.peers.groups_of(who, now).any(|group| group.is_learnt(watch.learning_ms, now)),
    }
}

pub(super) fn look(scene: &mut Scene<'_>, datasets: &'_ [Arc<str>]) {
    for dataset in datasets {
        let watches: Vec<Watch> =
            super::watch::watches(&scene.set.detect.watches, Detector::Enumeration, scene.who, Some(dataset))
                .into_iter()
                .cloned()
                .collect();
        let before = scene.seen.stage == Stage::Before;
        for watch in watches.iter().filter(|watch| !before || watch.then == Then::Refuse) {
            look_at(scene, dataset, watch);
        }
    }
}

fn look_at(scene: &mut Scene<'_>, dataset: &Arc<str>, watch: &Watch) {
    if let Some((limit, window)) = watch.limit {
        let used = scene.ledger.used(dataset, window, Unit::Records, scene.now);
        // Before a statement runs, a limit that is reached leaves no room.
        let over = if scene.seen.stage == Stage::Before { used >= limit } else { used > limit };
        if over {
            let message = format!("{used} distinct records of `{dataset}` per {window}; {limit} are the limit");
            scene.found(finding(watch, dataset, "limit", (limit, limit.min(used), used), Some(window), message, true));
        }
    }
    let learnt = learnt(scene, watch);
    let Some(days) = scene.ledger.days(dataset).cloned() else { return };
    let count = u64::from(days.on(scene.today));
    let common = scene.peers.common(scene.who, Counted::Records, dataset, scene.now);
    let day = Day { counted: Counted::Records, dataset, days: &days, count, today: scene.today };
    for (about, limit, usual, message, grave) in compare(scene, &day, common.as_ref(), (watch, learnt)) {
        let days = if about == "beside" { BESIDE_DAYS } else { 1 };
        let window = Some(Window::Day);
        let finding = finding(watch, dataset, about, (limit, usual, count), window, message, grave);
        scene.found(Finding { days, ..finding });
    }
}

fn finding<'a>(
    watch: &'a Watch,
    dataset: &Arc<str>,
    about: &'a str,
    (limit, before, after): (u64, u64, u64),
    window: Option<Window>,
    message: String,
    grave: bool,
) -> Finding<'a> {
    Finding {
        detector: Detector::Enumeration,
        watch,
        dataset: Some(dataset.clone()),
        about,
        unit: Measure::Records,
        window,
        limit,
        before,
        after,
        message,
        grave,
        days: 1,
    }
}

/// What a day's count is beside the person's own days and those of peers: the measure, its limit, what is usual, a
/// sentence, and whether it is grave.
pub(super) fn compare(
    scene: &Scene<'_>,
    day: &Day<'_>,
    common: Option<&(Arc<str>, Common)>,
    (watch, learnt): (&Watch, Learnt),
) -> Vec<(&'static str, u64, u64, String, bool)> {
    let Day { counted, dataset, days, count, today } = *day;
    let what = match counted {
        Counted::Records => "records",
        Counted::Tenants => "tenants",
    };
    let mut found = Vec::new();
    let usual = Usual::of(days, today);
    let recent = member(days, today).recent;
    let recent_high = common.map_or(0, |(_, common)| common.recent_high);
    let limit = scaled(recent_high, BESIDE);
    if learnt.group && recent_high > 0 && recent > limit && recent >= watch.floor {
        let message = format!(
            "{recent} distinct {what} of `{dataset}` a day, over the last {RECENT_DAYS} whole days; {recent_high} for the \
             busiest tenth of their peers in the same time; more than {limit} is beside them all"
        );
        found.push(("beside", limit, usual.map_or(0, |usual| usual.median), message, false));
    }
    let Some(usual) = usual.filter(|_| learnt.person) else { return found };
    let ratio = common.map_or(100, |(_, common)| common.ratio);
    let high = common.map_or(0, |(_, common)| common.high);
    let beside = match common {
        Some((group, common)) => format!(
            "{} for the busiest tenth of {} peers in `{group}`, whose day is at {} % of what is usual for them",
            common.high, common.people, common.ratio
        ),
        None => "there are no peers to compare with".to_owned(),
    };
    let own = format!("{} are usual for them (median of {} days)", usual.median, usual.days);
    let limit = watch.floor.max(scaled(scaled(usual.median.max(high), ratio), watch.factor));
    if count > limit {
        let message =
            format!("{count} distinct {what} of `{dataset}` today; {own}, {beside}; more than {limit} is a jump");
        found.push(("jump", limit, usual.median, message, true));
        return found;
    }
    if count < watch.floor {
        return found;
    }
    let ratio_of = |past: u32| match common {
        Some((_, common)) if past == today => common.ratio,
        Some((group, _)) => scene.peers.ratio(group, counted, dataset, past),
        None => 100,
    };
    let drift = usual.drift(days, today, count, ratio_of);
    if drift > DRIFT_LIMIT {
        let message = format!(
            "{count} distinct {what} of `{dataset}` today, and as many the days before; {own}, {beside}; together that is \
             {}.{:02} deviations of {} too many, {} are chance",
            drift / 100,
            drift % 100,
            usual.spread,
            DRIFT_LIMIT / 100
        );
        let limit = scaled(usual.median.saturating_add(usual.spread), ratio);
        found.push(("drift", limit, usual.median, message, false));
    }
    found
}
