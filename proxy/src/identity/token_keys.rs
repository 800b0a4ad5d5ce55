//! The keys that tokens of one listener are checked with: from a file or the provider's address, read again while sessions
//! run.
//!
//! INVARIANT: keys are exchanged only for a set that is good, and a token is never waited for on the way to a statement:
//! fetching is a task of its own, and asks at most once a minute whatever clients send. Nothing is believed while there
//! are no keys.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Notify, watch};

use super::fetch::{FETCH_TIMEOUT, Place};
use super::jwks::{KEY_SET_BYTES_MAX, Keys};
use super::token::{TokenClaims, TokenError, TokenRules};

/// Between two fetches while all is well: how long a key that was withdrawn is still believed at most.
pub const REFRESH: Duration = Duration::from_secs(15 * 60);
/// Between two fetches at least: what a client may cause by naming keys that do not exist.
pub const REFRESH_MIN: Duration = Duration::from_secs(60);

/// Where keys come from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// A file, read at the start and at each reload.
    File(PathBuf),
    /// An address, fetched at the start, every quarter of an hour, and when a token names a key that is not known.
    Place {
        /// The address, for the operator.
        address: String,
        /// The same, ready to be fetched.
        place: Box<Place>,
    },
}

/// Rules and keys for the tokens of one listener.
#[derive(Debug)]
pub struct TokenKeys {
    rules: TokenRules,
    source: KeySource,
    keys: RwLock<Arc<Keys>>,
    asking: Mutex<Asking>,
    wanted: Notify,
    /// Counts the fetches that have ended.
    fetched: watch::Sender<u64>,
}

/// What the task that fetches is at.
#[derive(Debug, Default)]
struct Asking {
    /// When a fetch began last.
    since: Option<Instant>,
    /// Whether it is still under way.
    now: bool,
}

impl TokenKeys {
    /// Reads a file of keys; an address is fetched by [`TokenKeys::keep`], and until then nothing is believed.
    ///
    /// # Errors
    /// A file that is not usable, in words for the operator.
    pub fn load(rules: TokenRules, source: KeySource) -> Result<Arc<TokenKeys>, String> {
        let keys = match &source {
            KeySource::File(path) => read(path)?,
            KeySource::Place { .. } => Keys::default(),
        };
        Ok(Arc::new(TokenKeys {
            rules,
            source,
            keys: RwLock::new(Arc::new(keys)),
            asking: Mutex::default(),
            wanted: Notify::new(),
            fetched: watch::channel(0).0,
        }))
    }

    /// Whether a token is to be believed, by the keys at hand. A key that is not known is asked for behind the scenes.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&self, token: &str, now: SystemTime) -> Result<TokenClaims, TokenError> {
        let keys = self.current();
        let checked = self.rules.check(&keys, token, now);
        if checked == Err(TokenError::UnknownKey) && self.may_ask() {
            self.wanted.notify_one();
        }
        checked
    }

    /// As [`TokenKeys::check`]; where the key is not known, the provider is asked first, at most once a minute.
    ///
    /// Waits for one fetch at most. Cancel safe.
    ///
    /// # Errors
    /// Why the token is not to be believed.
    pub async fn check_fresh(&self, token: &str, now: SystemTime) -> Result<TokenClaims, TokenError> {
        let mut fetched = self.fetched.subscribe();
        let waits = self.may_ask();
        match self.check(token, now) {
            Err(TokenError::UnknownKey) if waits => {
                // Without an answer the keys at hand say the same again.
                let _ = tokio::time::timeout(FETCH_TIMEOUT, fetched.changed()).await;
                self.rules.check(&self.current(), token, now)
            }
            checked => checked,
        }
    }

    /// Reads a file of keys again; when it is not usable, the keys in use stay. An address is fetched by its own task,
    /// which is asked to do so now.
    ///
    /// # Errors
    /// What is wrong with the file, in words for the operator.
    pub fn reload(&self) -> Result<(), String> {
        match &self.source {
            KeySource::File(path) => self.exchange(read(path)?),
            KeySource::Place { .. } => self.wanted.notify_one(),
        }
        Ok(())
    }

    /// Fetches the keys from their address, again and again; ends at once where they stand in a file. `told` hears how many
    /// keys there are after each fetch, and of failures in a row the first: why the keys at hand stay.
    pub async fn keep(&self, mut told: impl FnMut(Result<usize, String>)) {
        let KeySource::Place { address, place } = &self.source else { return };
        let mut failing = false;
        loop {
            self.asking(Asking { since: Some(Instant::now()), now: true });
            let fetched = place.fetch(KEY_SET_BYTES_MAX).await.and_then(|text| Keys::parse(&text));
            let pause = if fetched.is_ok() { REFRESH } else { REFRESH_MIN };
            let failed_before = std::mem::replace(&mut failing, fetched.is_err());
            match fetched {
                Ok(keys) => {
                    let count = keys.len();
                    self.exchange(keys);
                    told(Ok(count));
                }
                Err(reason) if failed_before => tracing::debug!(%address, %reason, "keys of tokens cannot be fetched"),
                Err(reason) => told(Err(format!("`{address}` {reason}"))),
            }
            self.asking.lock().unwrap_or_else(PoisonError::into_inner).now = false;
            self.fetched.send_modify(|count| *count += 1);
            tokio::time::sleep(REFRESH_MIN).await;
            // What was wanted meanwhile is answered by the next fetch.
            let _ = tokio::time::timeout(pause - REFRESH_MIN, self.wanted.notified()).await;
        }
    }

    /// Where the keys come from, for the operator.
    pub fn origin(&self) -> String {
        match &self.source {
            KeySource::File(path) => path.display().to_string(),
            KeySource::Place { address, .. } => address.clone(),
        }
    }

    /// What a token must say.
    pub fn rules(&self) -> &TokenRules {
        &self.rules
    }

    fn current(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn exchange(&self, keys: Keys) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    fn asking(&self, asking: Asking) {
        *self.asking.lock().unwrap_or_else(PoisonError::into_inner) = asking;
    }

    /// Whether a fetch is under way, or would begin now if it were wanted.
    fn may_ask(&self) -> bool {
        let asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let rested = asking.since.is_none_or(|since| since.elapsed() >= REFRESH_MIN);
        matches!(self.source, KeySource::Place { .. }) && (asking.now || rested)
    }
}

fn read(path: &std::path::Path) -> Result<Keys, String> {
    let bytes_max = u64::try_from(KEY_SET_BYTES_MAX).unwrap_or(u64::MAX);
    let text = crate::config::read_bounded(path, bytes_max)
        .map_err(|reason| format!("key set `{}` {reason}", path.display()))?;
    Keys::parse(text.as_bytes()).map_err(|reason| format!("key set `{}` {reason}", path.display()))
}

#[cfg(test)]
mod tests;
