//! Answers that are here before the package manager asks, and requests that several wait for. Holds a
//! bounded number of bytes, hands out each thing once, and caches nothing.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, FutureExt as _, Shared, WeakShared};
use futures_util::stream::{self, StreamExt as _};
use hyper::StatusCode;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use crate::Purpose;
use crate::answer::Answer;
use crate::headers::of_request;
use crate::log::Kind;
use crate::relay::Relay;

/// Room is counted in this many bytes.
const UNIT: usize = 1 << 10;

/// Room that is kept free for one that is still on its way: most tarballs are smaller.
const EXPECTED: u32 = 512;

/// Fetched ahead at the same time; npm itself has 15 at once.
const AT_ONCE: usize = 24;

/// A GET that several may wait for.
pub(crate) type Fetch = Shared<BoxFuture<'static, Answer>>;

/// The same, as long as somebody waits for it.
type Waiting = WeakShared<BoxFuture<'static, Answer>>;

/// What to fetch before it is asked for.
#[derive(Debug, Clone)]
pub struct Ahead {
    /// Where.
    pub url: Url,
    /// The whole value of the `Authorization` header that the package manager will send. What was fetched
    /// with one is handed out to requests with the same one only.
    pub authorization: Option<SecretString>,
}

impl From<Url> for Ahead {
    fn from(url: Url) -> Self {
        Self { url, authorization: None }
    }
}

/// See the head of this file.
pub(crate) struct Store {
    inner: Mutex<Inner>,
    room: Arc<Semaphore>,
    /// Of what is expected of one.
    expected: u32,
}

#[derive(Default)]
struct Inner {
    shared: HashMap<Url, Vec<(HeaderMap, Waiting)>>,
    held: HashMap<Url, Held>,
    asked: HashSet<Url>,
}

struct Held {
    authorization: Option<HeaderValue>,
    fetch: Fetch,
    room: OwnedSemaphorePermit,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// With room for so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        let units = (bytes / UNIT).min(Semaphore::MAX_PERMITS);
        let expected = u32::try_from(units).map_or(EXPECTED, |units| units.min(EXPECTED));
        Self { inner: Mutex::default(), room: Arc::new(Semaphore::new(units)), expected }
    }

    /// Makes a fetch of a future.
    pub(crate) fn share(future: impl Future<Output = Answer> + Send + 'static) -> Fetch {
        future.boxed().shared()
    }

    /// Whether an answer is what the package manager would get now: released, or refused by the gate.
    pub(crate) fn is_worth_keeping(answer: &Answer) -> bool {
        let is_judged = matches!(answer.kind, Kind::Tarball | Kind::Document);
        is_judged && matches!(answer.status, StatusCode::OK | StatusCode::FORBIDDEN)
    }

    /// What was fetched ahead for such a request; nobody gets it again.
    pub(crate) fn take(&self, url: &Url, headers: &HeaderMap) -> Option<Fetch> {
        let mut inner = self.lock();
        inner.asked.insert(url.clone());
        let held = inner.held.get(url)?;
        if held.authorization.is_some() && held.authorization.as_ref() != headers.get(AUTHORIZATION) {
            return None;
        }
        inner.held.remove(url).map(|held| held.fetch)
    }

    /// The same request that is on its way for somebody else, or a new one.
    pub(crate) fn join(&self, url: &Url, headers: &HeaderMap, start: impl FnOnce() -> Fetch) -> Fetch {
        let mut inner = self.lock();
        let same = inner.shared.entry(url.clone()).or_default();
        same.retain(|(_, fetch)| is_running(fetch));
        let found = same.iter().find(|(of, _)| of == headers).and_then(|(_, fetch)| fetch.upgrade());
        if let Some(fetch) = found {
            return fetch;
        }
        let fetch = start();
        if let Some(weak) = fetch.downgrade() {
            same.push((headers.clone(), weak));
        }
        fetch
    }

    /// Forgets requests for `url` that are over.
    pub(crate) fn leave(&self, url: &Url) {
        let mut inner = self.lock();
        if let Some(same) = inner.shared.get_mut(url) {
            same.retain(|(_, fetch)| is_running(fetch));
            if same.is_empty() {
                inner.shared.remove(url);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_running(fetch: &Waiting) -> bool {
    fetch.upgrade().is_some_and(|fetch| fetch.peek().is_none())
}

/// Fetches all of it, as room and the package manager's own requests allow.
pub(crate) async fn fetch_ahead(relay: Arc<Relay>, wanted: Vec<Ahead>) {
    let at_once = AT_ONCE.min(relay.limits.in_flight.div_ceil(2)).max(1);
    let all = stream::iter(wanted).map(|wanted| fetch_one(Arc::clone(&relay), wanted));
    all.buffer_unordered(at_once).collect::<()>().await;
}

async fn fetch_one(relay: Arc<Relay>, wanted: Ahead) {
    let Ahead { url, authorization } = wanted;
    let store = &relay.store;
    if !relay.origins.allow(&url) || store.expected == 0 {
        return;
    }
    let Ok(room) = Arc::clone(&store.room).acquire_many_owned(store.expected).await else { return };
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    let authorization = match authorization.map(|value| HeaderValue::from_str(value.expose_secret())) {
        None => None,
        Some(Ok(mut value)) => {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value.clone());
            Some(value)
        }
        Some(Err(_)) => return,
    };
    let fetch = relay.fetch_later(&url, of_request(&headers), Purpose::Ahead);
    {
        let mut inner = store.lock();
        if inner.asked.contains(&url) || inner.held.contains_key(&url) {
            return;
        }
        inner.held.insert(url.clone(), Held { authorization, fetch: fetch.clone(), room });
    }
    let answer = fetch.await;
    let mut inner = store.lock();
    let Some(held) = inner.held.get_mut(&url) else { return };
    if Store::is_worth_keeping(&answer) && resize(&store.room, &mut held.room, answer.body.len()) {
        // From here on it counts as room.
        answer.lane.take(None);
    } else {
        inner.held.remove(&url);
    }
}

/// Makes `permit` fit `bytes`; whether there was room for that.
fn resize(room: &Arc<Semaphore>, permit: &mut OwnedSemaphorePermit, bytes: usize) -> bool {
    let needed = bytes.div_ceil(UNIT).max(1);
    let has = permit.num_permits();
    if needed <= has {
        drop(permit.split(has - needed));
        return true;
    }
    let more = u32::try_from(needed - has).ok();
    match more.and_then(|more| Arc::clone(room).try_acquire_many_owned(more).ok()) {
        Some(more) => {
            permit.merge(more);
            true
        }
        None => false,
    }
}
