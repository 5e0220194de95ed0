//! Which tarballs are handed in and which are needed no more. The bytes are in `blobs`.

use alloy_primitives::{Address, B256};
use client::coordinator::api::TarballInfo;
use sqlx::Row as _;
use trust::{Integrity, PackageName};

use super::{Store, StoreError, quoted, read};

/// The tarball of a proposal that ended without a record.
#[derive(Debug)]
pub(crate) struct EndedTarball {
    pub(crate) id: B256,
    pub(crate) package: String,
    pub(crate) integrity: Integrity,
}

impl Store {
    /// The sizes of the tarballs of the proposals that `proposer` has open in `package`.
    pub(crate) async fn open_tarballs(
        &self,
        package: &PackageName,
        proposer: Address,
    ) -> Result<Vec<u64>, StoreError> {
        let rows = sqlx::query(
            "SELECT tarball FROM proposals
             WHERE package = ? AND proposer = ? AND state IN ('proposed', 'signed', 'submitted', 'active')",
        )
        .bind(package.as_str())
        .bind(proposer.to_string())
        .fetch_all(&self.pool)
        .await?;
        let size = |text: String| read::<TarballInfo>("tarball", &text).map(|tarball| tarball.size);
        rows.iter().map(|row| size(row.get("tarball"))).collect()
    }

    /// Those that are still kept. What was vetoed, hijacked or failed may have a record, and stays.
    pub(crate) async fn ended_tarballs(&self) -> Result<Vec<EndedTarball>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, package, tarball FROM proposals WHERE state IN ('expired', 'withdrawn') AND tarball_kept = 1",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let tarball: TarballInfo = read("tarball", &row.get::<String, _>("tarball"))?;
                let id = read("proposal id", &quoted(row.get("id")))?;
                Ok(EndedTarball { id, package: row.get("package"), integrity: tarball.integrity })
            })
            .collect()
    }

    /// Whether another proposal needs the same bytes; they name their package, so it is of the same one.
    pub(crate) async fn is_tarball_needed(&self, tarball: &EndedTarball) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT id FROM proposals
             WHERE package = ? AND state NOT IN ('expired', 'withdrawn') AND tarball LIKE ? LIMIT 1",
        )
        .bind(&tarball.package)
        .bind(format!("%{}%", tarball.integrity))
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.is_some())
    }

    /// It is gone, or somebody else's.
    pub(crate) async fn note_tarball_removed(&self, id: B256) -> Result<(), StoreError> {
        sqlx::query("UPDATE proposals SET tarball_kept = 0 WHERE id = ?")
            .bind(id.to_string())
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
