//! Proposals: rows that move forward.

use alloy_primitives::{Address, B256, Bytes};
use client::coordinator::api::{NpmPublication, Proposal, ProposalState, Release};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use trust::{PackageName, Version};

use super::{MAX_LIST, Store, StoreError, quoted, read, signed, state_name, write};
use crate::transitions::proposal_may_move;

/// What changes beside a state.
#[derive(Debug, Default, Clone)]
pub(crate) struct Details {
    pub(crate) block_number: Option<u64>,
    pub(crate) transaction_hash: Option<B256>,
    pub(crate) npm: Option<NpmPublication>,
    pub(crate) reason: Option<String>,
}

impl Store {
    /// Keeps a new proposal with its first signature; whether it was new.
    pub(crate) async fn insert_proposal(
        &self,
        proposal: &Proposal,
        signer: Address,
        signature: &Bytes,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let inserted = sqlx::query(
            "INSERT INTO proposals (id, package, state, release, tarball, proposer, members, threshold, created_at, updated_at, attempts, next_attempt_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0) ON CONFLICT DO NOTHING",
        )
        .bind(proposal.id.to_string())
        .bind(&proposal.release.package_name)
        .bind(state_name(proposal.state))
        .bind(write("release", &proposal.release)?)
        .bind(write("tarball", &proposal.tarball)?)
        .bind(proposal.proposer.to_string())
        .bind(write("members", &proposal.members)?)
        .bind(i64::from(proposal.threshold))
        .bind(signed(proposal.created_at))
        .bind(signed(proposal.updated_at))
        .execute(&mut *transaction)
        .await?
        .rows_affected()
            == 1;
        Self::insert_signature(&mut transaction, proposal.id, signer, signature, proposal.created_at).await?;
        transaction.commit().await?;
        Ok(inserted)
    }

    /// One proposal with its signatures.
    pub(crate) async fn proposal(&self, id: B256) -> Result<Option<Proposal>, StoreError> {
        let row = sqlx::query("SELECT * FROM proposals WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&self.pool)
            .await?;
        match row {
            Some(row) => Ok(Some(self.complete(&row).await?)),
            None => Ok(None),
        }
    }

    /// Newest first.
    pub(crate) async fn proposals(
        &self,
        package: Option<&PackageName>,
        member: Option<Address>,
        open_only: bool,
    ) -> Result<Vec<Proposal>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM proposals
             WHERE (? IS NULL OR package = ?) AND (? IS NULL OR members LIKE ?)
               AND (? = 0 OR state IN ('proposed', 'signed', 'submitted', 'active'))
             ORDER BY created_at DESC, id LIMIT ?",
        )
        .bind(package.map(PackageName::as_str))
        .bind(package.map(PackageName::as_str))
        .bind(member.map(|member| format!("%{}%", member_text(member))))
        .bind(member.map(|member| format!("%{}%", member_text(member))))
        .bind(i64::from(open_only))
        .bind(MAX_LIST)
        .fetch_all(&self.pool)
        .await?;
        self.complete_all(rows).await
    }

    /// Proposals in one of the states that still move, oldest first.
    pub(crate) async fn moving_proposals(&self) -> Result<Vec<Proposal>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM proposals WHERE state IN ('proposed', 'signed', 'submitted', 'active') ORDER BY created_at, id",
        )
        .fetch_all(&self.pool)
        .await?;
        self.complete_all(rows).await
    }

    /// Active proposals whose next attempt is due.
    pub(crate) async fn due_publications(&self, now: u64) -> Result<Vec<Proposal>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM proposals WHERE state = 'active' AND next_attempt_at <= ? ORDER BY next_attempt_at, id LIMIT ?",
        )
        .bind(signed(now))
        .bind(MAX_LIST)
        .fetch_all(&self.pool)
        .await?;
        self.complete_all(rows).await
    }

    /// Versions of a package that are on their way to npm or there, whether they have a record or not.
    pub(crate) async fn versions_under_way(&self, package: &PackageName) -> Result<Vec<Version>, StoreError> {
        let rows = sqlx::query(
            "SELECT release FROM proposals WHERE package = ? AND state IN ('submitted', 'active', 'published')",
        )
        .bind(package.as_str())
        .fetch_all(&self.pool)
        .await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let release: Release = read("release", &row.get::<String, _>("release"))?;
            found.extend(release.version.parse::<Version>().ok());
        }
        Ok(found)
    }

    /// Moves to Signed what enough members signed. Counted once a signature is kept, because two may come at once;
    /// the watcher does it again, because the end may come between.
    pub(crate) async fn advance_proposal(&self, id: B256, now: u64) -> Result<(), StoreError> {
        let Some(proposal) = self.proposal(id).await? else { return Ok(()) };
        let enough = proposal.signatures.len() >= usize::from(proposal.threshold);
        if !enough || proposal.state != ProposalState::Proposed {
            return Ok(());
        }
        let (from, to) = (ProposalState::Proposed, ProposalState::Signed);
        match self.move_proposal(id, from, to, Details::default(), now).await {
            Err(StoreError::Moved { .. }) => Ok(()),
            result => result,
        }
    }

    /// Moves a proposal that is still in the state that was read.
    pub(crate) async fn move_proposal(
        &self,
        id: B256,
        from: ProposalState,
        to: ProposalState,
        details: Details,
        now: u64,
    ) -> Result<(), StoreError> {
        if !proposal_may_move(from, to) {
            return Err(StoreError::Forbidden { from: state_name(from), to: state_name(to) });
        }
        let npm = details.npm.map(|npm| write("publication", &npm)).transpose()?;
        let moved = sqlx::query(
            "UPDATE proposals SET state = ?, updated_at = ?, attention = NULL, attention_since = NULL, attempts = 0,
               next_attempt_at = 0, block_number = COALESCE(?, block_number),
               transaction_hash = COALESCE(?, transaction_hash), npm = COALESCE(?, npm), reason = COALESCE(?, reason)
             WHERE id = ? AND state = ?",
        )
        .bind(state_name(to))
        .bind(signed(now))
        .bind(details.block_number.map(signed))
        .bind(details.transaction_hash.map(|hash| hash.to_string()))
        .bind(npm)
        .bind(details.reason)
        .bind(id.to_string())
        .bind(state_name(from))
        .execute(&self.pool)
        .await?
        .rows_affected();
        if moved == 1 { Ok(()) } else { Err(StoreError::Moved { subject: id, expected: state_name(from) }) }
    }

    /// Notes what somebody has to do, and when to try again; since when that very thing is so.
    pub(crate) async fn postpone(
        &self,
        id: B256,
        attention: &str,
        next_attempt_at: u64,
        now: u64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE proposals SET attempts = attempts + 1, next_attempt_at = ?,
               attention_since = CASE WHEN attention = ? THEN COALESCE(attention_since, ?) ELSE ? END, attention = ?
             WHERE id = ?",
        )
        .bind(signed(next_attempt_at))
        .bind(attention)
        .bind(signed(now))
        .bind(signed(now))
        .bind(attention)
        .bind(id.to_string())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Since when every attempt in a row ended with this; `None` when the last one did not.
    pub(crate) async fn attention_since(&self, id: B256, attention: &str) -> Result<Option<u64>, StoreError> {
        let row = sqlx::query("SELECT attention_since FROM proposals WHERE id = ? AND attention = ?")
            .bind(id.to_string())
            .bind(attention)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.and_then(|row| row.get::<Option<i64>, _>("attention_since")).map(i64::unsigned_abs))
    }

    /// How often publishing was tried in vain.
    pub(crate) async fn attempts(&self, id: B256) -> Result<u32, StoreError> {
        let row = sqlx::query("SELECT attempts FROM proposals WHERE id = ?")
            .bind(id.to_string())
            .fetch_one(&self.pool)
            .await?;
        Ok(u32::try_from(row.get::<i64, _>("attempts")).unwrap_or(0))
    }

    /// Tries again at once: a token came.
    pub(crate) async fn hurry(&self, package: &PackageName) -> Result<(), StoreError> {
        sqlx::query("UPDATE proposals SET next_attempt_at = 0 WHERE package = ? AND state = 'active'")
            .bind(package.as_str())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    async fn complete_all(&self, rows: Vec<SqliteRow>) -> Result<Vec<Proposal>, StoreError> {
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            found.push(self.complete(&row).await?);
        }
        Ok(found)
    }

    async fn complete(&self, row: &SqliteRow) -> Result<Proposal, StoreError> {
        let text = |column: &str| row.get::<String, _>(column);
        let number = |column: &str| row.get::<i64, _>(column).unsigned_abs();
        let id: B256 = read("proposal id", &quoted(text("id")))?;
        let optional = |column: &str| row.get::<Option<String>, _>(column);
        Ok(Proposal {
            id,
            kind: "release".to_owned(),
            state: read("state", &quoted(text("state")))?,
            release: read("release", &text("release"))?,
            tarball: read("tarball", &text("tarball"))?,
            proposer: read("proposer", &quoted(text("proposer")))?,
            members: read("members", &text("members"))?,
            threshold: u8::try_from(number("threshold")).unwrap_or(u8::MAX),
            signatures: self.signatures(id).await?,
            created_at: number("created_at"),
            updated_at: number("updated_at"),
            transaction_hash: optional("transaction_hash")
                .map(|hash| read("hash", &quoted(hash)))
                .transpose()?,
            block_number: row.get::<Option<i64>, _>("block_number").map(i64::unsigned_abs),
            npm: optional("npm").map(|npm| read("publication", &npm)).transpose()?,
            attention: optional("attention"),
            reason: optional("reason"),
        })
    }
}

/// An address as `members` holds it.
pub(super) fn member_text(member: Address) -> String {
    serde_json::to_value(member).ok().and_then(|value| Some(value.as_str()?.to_owned())).unwrap_or_default()
}
