//! How much may be handed in. Whoever registered one package is a member, so a member is anybody.
//!
//! What is open is counted for each member of a package by itself: one who hands in too much keeps only
//! themselves from handing in more.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use alloy_primitives::B256;
use axum::http::StatusCode;
use client::coordinator::api::{MAX_TARBALL_BYTES, Proposal};
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore, SemaphorePermit};

use crate::app::App;
use crate::problem::Problem;

/// Uploads at once: each holds up to 200 MB in memory while its tarball is read.
const UPLOADS: usize = 4;

/// Open proposals of one member in one package: a release and its alternatives are a handful, a train of
/// pre-releases that nobody signs a few more. Each ends with its deadline, after 30 days at most.
const MAX_OPEN: usize = 32;

/// Their tarballs together: five of the largest.
const MAX_OPEN_BYTES: u64 = 5 * MAX_TARBALL_BYTES as u64;

/// Who is handing something in.
#[derive(Debug)]
pub(crate) struct Admission {
    uploads: Semaphore,
    lines: std::sync::Mutex<BTreeMap<B256, Arc<Mutex<()>>>>,
    /// Held while a tarball is kept or removed, so that none is removed that was just handed in again.
    pub(crate) keeping: Mutex<()>,
}

/// One upload that is under way; it is over when this is dropped.
#[derive(Debug)]
pub(crate) struct UploadInProgress<'a> {
    _first_in_line: OwnedMutexGuard<()>,
    _permit: SemaphorePermit<'a>,
}

impl Admission {
    pub(crate) fn new() -> Self {
        Self { uploads: Semaphore::new(UPLOADS), lines: Default::default(), keeping: Mutex::default() }
    }

    /// One upload at a time for each line, the others of that line wait; a few for all lines.
    async fn begin(&self, line: B256) -> Result<UploadInProgress<'_>, Problem> {
        let line = {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.retain(|_, line| Arc::strong_count(line) > 1);
            Arc::clone(lines.entry(line).or_default())
        };
        let first_in_line = line.lock_owned().await;
        let Ok(permit) = self.uploads.try_acquire() else { return Err(Problem::busy("uploads")) };
        Ok(UploadInProgress { _first_in_line: first_in_line, _permit: permit })
    }
}

/// Lets a tarball of `size` bytes in. What a signer hands in comes one after the other, so that there is still room for
/// it when it is kept. For what is there already there is room; its signature is public, so it is in a line of its own.
pub(crate) async fn admit<'a>(
    app: &'a App,
    proposal: &Proposal,
    size: u64,
) -> Result<UploadInProgress<'a>, Problem> {
    if app.store.proposal(proposal.id).await?.is_some() {
        return app.admission.begin(proposal.id).await;
    }
    let upload = app.admission.begin(proposal.proposer.into_word()).await?;
    verify_room(app, proposal, size).await?;
    Ok(upload)
}

/// Whether there is room for one more proposal with a tarball of `size` bytes.
async fn verify_room(app: &App, proposal: &Proposal, size: u64) -> Result<(), Problem> {
    let name = super::routes::parse_name(&proposal.release.package_name)?;
    let open = app.store.open_tarballs(&name, proposal.proposer).await?;
    has_room(&open, size).map_err(|reason| {
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-open", "Too much is open already").detail(
            format!(
                "of {} in {name}, {reason}; submit what is signed, or wait for deadlines",
                proposal.proposer
            ),
        )
    })
}

fn has_room(open: &[u64], size: u64) -> Result<(), String> {
    if open.len() >= MAX_OPEN {
        return Err(format!("{} proposals are open, expected at most {MAX_OPEN}", open.len() + 1));
    }
    let bytes = open.iter().fold(size, |sum, size| sum.saturating_add(*size));
    if bytes > MAX_OPEN_BYTES {
        return Err(format!(
            "the tarballs of open proposals have {bytes} bytes, expected at most {MAX_OPEN_BYTES}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn there_is_room_for_so_many_and_so_much() {
        let largest = MAX_TARBALL_BYTES as u64;
        assert_eq!(has_room(&[1; MAX_OPEN - 1], 1), Ok(()));
        assert!(
            has_room(&[1; MAX_OPEN], 1).unwrap_err().contains("33 proposals are open, expected at most 32")
        );
        assert_eq!(has_room(&[largest; 4], largest), Ok(()));
        assert!(has_room(&[largest; 5], 1).unwrap_err().contains("1048576001 bytes"));
    }

    #[tokio::test]
    async fn a_signer_hands_in_one_thing_at_a_time_and_all_of_them_a_few() {
        let admission = Admission::new();
        let line = B256::repeat_byte;
        let first = admission.begin(line(1)).await.unwrap();
        assert!(admission.begin(line(1)).now_or_never().is_none(), "the second waits");
        drop(first);
        let mut under_way = vec![admission.begin(line(1)).await.unwrap()];
        for other in 2..=4 {
            under_way.push(admission.begin(line(other)).await.unwrap());
        }
        assert!(admission.begin(line(5)).await.is_err());
        drop(under_way);
        assert!(admission.begin(line(5)).await.is_ok());
    }
}
