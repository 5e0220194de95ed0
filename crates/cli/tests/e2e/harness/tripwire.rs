//! Kills a coordinator at the k-th request that it makes to one upstream, before or after the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

use super::coordinator::kill;
use super::proxy;

/// More requests than anything here makes; reaching it means that a sweep does not end.
pub const MOST_REQUESTS: usize = 60;

/// A tripwire on the way to one upstream.
#[derive(Debug, Clone)]
pub struct Tripwire {
    /// Requests still to let through before it fires; negative when it is not armed.
    left: Arc<AtomicI32>,
    /// Fires after the upstream has answered, not before it is asked.
    after: Arc<AtomicBool>,
    /// Whom to kill.
    pid: Arc<AtomicI32>,
    /// Versions that the registry accepted.
    pub created: Arc<AtomicUsize>,
}

impl Tripwire {
    /// One that is not armed yet; `pid` is whom it will kill.
    pub fn killing(pid: &Arc<AtomicI32>) -> Self {
        let pid = Arc::clone(pid);
        Self { left: Arc::new(AtomicI32::new(-1)), after: Arc::default(), pid, created: Arc::default() }
    }

    /// Fires at the request after so many, before it is asked or after it was answered.
    pub fn arm(&self, requests: usize, after: bool) {
        self.after.store(after, Ordering::SeqCst);
        self.left.store(i32::try_from(requests).unwrap(), Ordering::SeqCst);
    }

    /// Fires no more.
    pub fn disarm(&self) {
        self.left.store(-1, Ordering::SeqCst);
    }

    /// A proxy to `upstream` with this wire in it.
    pub fn in_front_of(&self, upstream: &str) -> String {
        let wire = self.clone();
        proxy::start(upstream, move |request, upstream| {
            let counted = |left: i32| (left >= 0).then(|| left - 1);
            let fires = wire.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, counted) == Ok(0);
            let after = wire.after.load(Ordering::SeqCst);
            if fires && !after {
                kill(&wire.pid);
                return None;
            }
            let answer = upstream.ask(request);
            if request.method == "PUT" && answer.as_ref().is_some_and(|answer| answer.status == 201) {
                wire.created.fetch_add(1, Ordering::SeqCst);
            }
            if fires {
                kill(&wire.pid);
                return None;
            }
            answer
        })
    }
}
