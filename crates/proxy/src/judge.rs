//! The gate, whatever its type, and what happens when it fails: that is a refusal.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::{Asked, Gate, Ruling};

/// A [`Gate`] of any type.
pub(crate) trait Judge: Send + Sync {
    /// See [`Gate::tarball`].
    fn tarball<'a>(&'a self, asked: &'a Asked, bytes: Bytes) -> BoxFuture<'a, Ruling>;
    /// See [`Gate::document`].
    fn document<'a>(&'a self, asked: &'a Asked, bytes: Bytes) -> BoxFuture<'a, Ruling>;
}

/// Makes one of a gate.
pub(crate) fn judge<G: Gate>(gate: Arc<G>) -> Arc<dyn Judge> {
    Arc::new(Of(gate))
}

struct Of<G>(Arc<G>);

impl<G: Gate> Judge for Of<G> {
    fn tarball<'a>(&'a self, asked: &'a Asked, bytes: Bytes) -> BoxFuture<'a, Ruling> {
        or_refuse(async move { self.0.tarball(asked, bytes).await }).boxed()
    }

    fn document<'a>(&'a self, asked: &'a Asked, bytes: Bytes) -> BoxFuture<'a, Ruling> {
        or_refuse(async move { self.0.document(asked, bytes).await }).boxed()
    }
}

async fn or_refuse(ruling: impl Future<Output = Ruling>) -> Ruling {
    AssertUnwindSafe(ruling).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("the gate panicked");
        Ruling::Refuse { message: "the check of this answer failed; that is a mistake in 3pm".to_owned() }
    })
}
