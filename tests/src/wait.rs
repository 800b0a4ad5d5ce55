//! Waiting for a condition with a deadline. Nothing in these tests waits for time to pass by itself.

use std::thread;
use std::time::{Duration, Instant};

/// How long a condition that should hold "soon" may take on a machine shared with other builds.
pub const SOON: Duration = Duration::from_secs(20);

/// Pause between two looks at a condition: short beside every deadline, long enough not to burn a core.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks at `condition` until it yields a value; panics with `what` when `limit` has passed.
pub fn until<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        thread::sleep(PAUSE);
    }
}

/// Looks at `condition` until it holds; panics with `what` when `limit` has passed. Returns how long it took.
pub fn until_true(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    until(what, limit, || condition().then_some(()));
    start.elapsed()
}
