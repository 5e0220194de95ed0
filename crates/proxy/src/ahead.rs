//! Answers that are here before the package manager asks, and requests that several wait for. Holds a
//! bounded number of bytes, hands out each thing once, and caches nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures_util::future::{BoxFuture, FutureExt as _, Shared, WeakShared};
use futures_util::stream::{self, StreamExt as _};
use hyper::StatusCode;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_UNMODIFIED_SINCE,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use crate::Purpose;
use crate::answer::Answer;
use crate::headers::of_request;
use crate::log::Kind;
use crate::relay::Relay;
use crate::server::Tasks;

/// Room is counted in this many bytes.
const UNIT: usize = 1 << 10;

/// Room that is kept free for one that is still on its way: most tarballs are smaller.
const EXPECTED: u32 = 512;

/// Fetched ahead at the same time; npm itself has 15 at once.
const AT_ONCE: usize = 24;

/// An `Accept` that takes every form.
const ANY: &str = "*/*";

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
    /// The `Accept` header that it will send: handed out to requests with the same one only. None for what has one
    /// form.
    pub accept: Option<String>,
    /// The `If-None-Match` header that it will send, where it has an older answer: handed out to requests with the
    /// same one only.
    pub if_none_match: Option<String>,
}

impl From<Url> for Ahead {
    fn from(url: Url) -> Self {
        Self { url, authorization: None, accept: None, if_none_match: None }
    }
}

/// Fetches ahead as [`crate::Running::fetch_ahead`] does, from wherever it is cloned to; does nothing after the run.
#[derive(Debug, Clone)]
pub struct Early {
    pub(crate) relay: Weak<Relay>,
    pub(crate) tasks: Tasks,
    pub(crate) runtime: Handle,
}

impl Early {
    /// Fetches before the package manager asks.
    pub fn fetch(&self, wanted: impl IntoIterator<Item = Ahead>) {
        let Some(relay) = self.relay.upgrade() else { return };
        let wanted = wanted.into_iter().collect();
        self.tasks.spawn_on(&self.runtime, fetch_ahead(relay, wanted));
    }
}

/// See the head of this file.
pub(crate) struct Store {
    inner: Mutex<Inner>,
    room: Arc<Semaphore>,
    /// Places of what is being fetched.
    places: Semaphore,
    /// Of what is expected of one.
    expected: u32,
}

#[derive(Default)]
struct Inner {
    shared: HashMap<Url, Vec<(HeaderMap, Waiting)>>,
    held: HashMap<Url, Held>,
    /// Of those, what the package manager may never ask for, the oldest first; some are gone by now.
    spare: VecDeque<Url>,
    asked: HashSet<Url>,
}

struct Held {
    /// What it was fetched with.
    headers: HeaderMap,
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
        let (inner, room) = (Mutex::default(), Arc::new(Semaphore::new(units)));
        Self { inner, room, places: Semaphore::new(AT_ONCE), expected }
    }

    /// Makes a fetch of a future.
    pub(crate) fn share(future: impl Future<Output = Answer> + Send + 'static) -> Fetch {
        future.boxed().shared()
    }

    /// Whether an answer is what the package manager would get now: released, refused by the gate, or no other than
    /// the one it has.
    pub(crate) fn is_worth_keeping(answer: &Answer) -> bool {
        let is_judged = matches!(answer.kind, Kind::Tarball | Kind::Document);
        answer.status == StatusCode::NOT_MODIFIED
            || (is_judged && matches!(answer.status, StatusCode::OK | StatusCode::FORBIDDEN))
    }

    /// What was fetched ahead for such a request; nobody gets it again.
    pub(crate) fn take(&self, url: &Url, headers: &HeaderMap) -> Option<Fetch> {
        let mut inner = self.lock();
        inner.asked.insert(url.clone());
        let held = inner.held.get(url)?;
        if !would_get(&held.headers, headers) {
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

    /// Where there is no room for one more, lets go of what the package manager has at hand, as much as one needs.
    fn make_room(&self) {
        let mut inner = self.lock();
        let mut needed = self.expected as usize;
        while needed > 0 && self.room.available_permits() < self.expected as usize {
            let Some(url) = inner.spare.pop_front() else { return };
            let freed = inner.held.remove(&url).map_or(0, |held| held.room.num_permits());
            needed = needed.saturating_sub(freed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a request with `asked` would get what one with `sent` got.
fn would_get(sent: &HeaderMap, asked: &HeaderMap) -> bool {
    let same = |name: HeaderName| sent.get(&name) == asked.get(&name);
    let accept = sent.get(ACCEPT);
    let credentials = !sent.contains_key(AUTHORIZATION) || same(AUTHORIZATION);
    let form = accept.is_none_or(|accept| accept == ANY) || same(ACCEPT);
    // A date beside an entity tag counts for nothing (RFC 9110, section 13.1.3).
    let others = [IF_MATCH, IF_UNMODIFIED_SINCE].iter().any(|name| asked.contains_key(name));
    let by_date = asked.contains_key(IF_MODIFIED_SINCE) && !asked.contains_key(IF_NONE_MATCH);
    credentials && form && same(IF_NONE_MATCH) && !others && !by_date
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
    let Ahead { url, authorization, accept, if_none_match } = wanted;
    let store = &relay.store;
    if !relay.origins.allow(&url) || store.expected == 0 {
        return;
    }
    let Ok(_place) = store.places.acquire().await else { return };
    store.make_room();
    let Ok(room) = Arc::clone(&store.room).acquire_many_owned(store.expected).await else { return };
    let Some(headers) = headers(authorization, accept, if_none_match) else { return };
    let fetch = relay.fetch_later(&url, of_request(&headers), Purpose::Ahead);
    {
        let mut inner = store.lock();
        if inner.asked.contains(&url) || inner.held.contains_key(&url) {
            return;
        }
        inner.held.insert(url.clone(), Held { headers, fetch: fetch.clone(), room });
    }
    let answer = fetch.await;
    let mut inner = store.lock();
    let Some(held) = inner.held.get_mut(&url) else { return };
    if Store::is_worth_keeping(&answer) && resize(&store.room, &mut held.room, answer.body.len()) {
        // From here on it counts as room.
        answer.lane.take(None);
        if answer.at_hand {
            inner.spare.push_back(url);
        }
    } else {
        inner.held.remove(&url);
    }
    drop(inner);
    // Others may wait for some.
    store.make_room();
}

/// What such a request says; none where it cannot be said.
fn headers(
    authorization: Option<SecretString>,
    accept: Option<String>,
    if_none_match: Option<String>,
) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    let accept = accept.map_or(Ok(HeaderValue::from_static(ANY)), |accept| HeaderValue::from_str(&accept));
    headers.insert(ACCEPT, accept.ok()?);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    if let Some(authorization) = authorization {
        let mut value = HeaderValue::from_str(authorization.expose_secret()).ok()?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    if let Some(if_none_match) = if_none_match {
        headers.insert(IF_NONE_MATCH, HeaderValue::from_str(&if_none_match).ok()?);
    }
    Some(headers)
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
