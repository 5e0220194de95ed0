//! Whether a registry is there at all. A package manager would try for over a minute before it says that it is not.

use std::time::Duration;

use client::http::{HttpError, Limits, Method, Request};
use client::npm::NpmClient;
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::errors::FlowError;

/// How long it may take to show that.
const LIMIT: Limits = Limits { bytes: 1024 * 1024, time: Duration::from_secs(5) };

/// Any answer will do.
pub(crate) async fn reach(npm: &NpmClient) -> Result<(), FlowError> {
    let registry = npm.config().default_registry().url;
    let url = registry.join("-/ping").unwrap_or(registry);
    match npm.http().send(Request::new(Method::GET, url), LIMIT).await {
        Ok(_) | Err(HttpError::TooLarge { .. }) => Ok(()),
        Err(error) => Err(FlowError::Registry(error)),
    }
}

/// The same while something else goes on; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Reaching(Mutex<Option<AbortOnDropHandle<Result<(), FlowError>>>>);

impl Reaching {
    /// Asks.
    pub(crate) fn begin(npm: &NpmClient) -> Self {
        let npm = npm.clone();
        let asking = tokio::spawn(async move { reach(&npm).await });
        Self(Mutex::new(Some(AbortOnDropHandle::new(asking))))
    }

    /// Waits for the answer. Why there is none is said once.
    pub(crate) async fn end(&self) -> Result<(), FlowError> {
        let mut open = self.0.lock().await;
        let Some(asking) = open.as_mut() else { return Ok(()) };
        let reached = asking.await;
        *open = None;
        reached.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }
}
