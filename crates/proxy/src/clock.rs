//! How long a registry may take: to say something, and in all. Time that we made it wait does not count.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::body::BodyError;

/// The limits of one exchange, from now on.
#[derive(Debug)]
pub(crate) struct Clock {
    idle: Duration,
    total: Duration,
    deadline: Instant,
}

impl Clock {
    /// Starts now.
    pub(crate) fn start(idle: Duration, total: Duration) -> Self {
        Self { idle, total, deadline: Instant::now() + total }
    }

    /// Waits for the registry.
    pub(crate) async fn wait<F: Future>(&self, future: F) -> Result<F::Output, BodyError> {
        let silent = Instant::now() + self.idle;
        let until = silent.min(self.deadline);
        timeout_at(until, future).await.map_err(|_| {
            if silent <= self.deadline {
                BodyError::Idle { limit: self.idle }
            } else {
                BodyError::Slow { limit: self.total }
            }
        })
    }

    /// Waits for something of ours.
    pub(crate) async fn pause<F: Future>(&mut self, future: F) -> F::Output {
        let from = Instant::now();
        let output = future.await;
        self.deadline += from.elapsed();
        output
    }
}
