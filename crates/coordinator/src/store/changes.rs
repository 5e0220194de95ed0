//! Team changes: rows that move forward.

use alloy_primitives::{Address, B256, Bytes};
use client::coordinator::api::{Change, ChangeState};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use trust::PackageName;

use super::proposals::member_text;
use super::{MAX_LIST, Store, StoreError, quoted, read, signed, state_name, write};
use crate::transitions::change_may_move;

impl Store {
    /// Keeps a new change with its first signature; whether it was new.
    pub(crate) async fn insert_change(
        &self,
        change: &Change,
        signer: Address,
        signature: &Bytes,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let inserted = sqlx::query(
            "INSERT INTO changes (id, package, state, config, current_members, current_threshold, created_at, updated_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(change.id.to_string())
        .bind(&change.config.package_name)
        .bind(state_name(change.state))
        .bind(write("config", &change.config)?)
        .bind(write("members", &change.current_members)?)
        .bind(i64::from(change.current_threshold))
        .bind(signed(change.created_at))
        .bind(signed(change.updated_at))
        .execute(&mut *transaction)
        .await?
        .rows_affected()
            == 1;
        Self::insert_signature(&mut transaction, change.id, signer, signature, change.created_at).await?;
        transaction.commit().await?;
        Ok(inserted)
    }

    /// One change with its signatures.
    pub(crate) async fn change(&self, id: B256) -> Result<Option<Change>, StoreError> {
        let row = sqlx::query("SELECT * FROM changes WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&self.pool)
            .await?;
        match row {
            Some(row) => Ok(Some(self.complete_change(&row).await?)),
            None => Ok(None),
        }
    }

    /// Newest first. A member is one of the current or of the new set.
    pub(crate) async fn changes(
        &self,
        package: Option<&PackageName>,
        member: Option<Address>,
        open_only: bool,
    ) -> Result<Vec<Change>, StoreError> {
        let member = member.map(|member| format!("%{}%", member_text(member)));
        let rows = sqlx::query(
            "SELECT * FROM changes
             WHERE (? IS NULL OR package = ?) AND (? IS NULL OR current_members LIKE ? OR config LIKE ?)
               AND (? = 0 OR state IN ('proposed', 'signed', 'submitted'))
             ORDER BY created_at DESC, id LIMIT ?",
        )
        .bind(package.map(PackageName::as_str))
        .bind(package.map(PackageName::as_str))
        .bind(member.clone())
        .bind(member.clone())
        .bind(member)
        .bind(i64::from(open_only))
        .bind(MAX_LIST)
        .fetch_all(&self.pool)
        .await?;
        self.complete_changes(rows).await
    }

    /// Changes in one of the states that still move.
    pub(crate) async fn moving_changes(&self) -> Result<Vec<Change>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM changes WHERE state IN ('proposed', 'signed', 'submitted') ORDER BY created_at, id",
        )
        .fetch_all(&self.pool)
        .await?;
        self.complete_changes(rows).await
    }

    async fn complete_changes(&self, rows: Vec<SqliteRow>) -> Result<Vec<Change>, StoreError> {
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            found.push(self.complete_change(&row).await?);
        }
        Ok(found)
    }

    /// Moves to Signed what enough members of both sets signed, as with proposals.
    pub(crate) async fn advance_change(&self, id: B256, now: u64) -> Result<(), StoreError> {
        let Some(change) = self.change(id).await? else { return Ok(()) };
        if !both_sets_signed(&change) || change.state != ChangeState::Proposed {
            return Ok(());
        }
        match self.move_change(id, ChangeState::Proposed, ChangeState::Signed, now).await {
            Err(StoreError::Moved { .. }) => Ok(()),
            result => result,
        }
    }

    /// Moves a change that is still in the state that was read.
    pub(crate) async fn move_change(
        &self,
        id: B256,
        from: ChangeState,
        to: ChangeState,
        now: u64,
    ) -> Result<(), StoreError> {
        if !change_may_move(from, to) {
            return Err(StoreError::Forbidden { from: state_name(from), to: state_name(to) });
        }
        let moved = sqlx::query("UPDATE changes SET state = ?, updated_at = ? WHERE id = ? AND state = ?")
            .bind(state_name(to))
            .bind(signed(now))
            .bind(id.to_string())
            .bind(state_name(from))
            .execute(&self.pool)
            .await?
            .rows_affected();
        if moved == 1 { Ok(()) } else { Err(StoreError::Moved { subject: id, expected: state_name(from) }) }
    }

    async fn complete_change(&self, row: &SqliteRow) -> Result<Change, StoreError> {
        let text = |column: &str| row.get::<String, _>(column);
        let number = |column: &str| row.get::<i64, _>(column).unsigned_abs();
        let id: B256 = read("change id", &quoted(text("id")))?;
        Ok(Change {
            id,
            kind: "config".to_owned(),
            state: read("state", &quoted(text("state")))?,
            config: read("config", &text("config"))?,
            current_members: read("members", &text("current_members"))?,
            current_threshold: u8::try_from(number("current_threshold")).unwrap_or(u8::MAX),
            signatures: self.signatures(id).await?,
            created_at: number("created_at"),
            updated_at: number("updated_at"),
        })
    }
}

/// Whether enough of the members before and of the members after signed.
fn both_sets_signed(change: &Change) -> bool {
    let has_signed = |member: &Address| change.signatures.iter().any(|entry| entry.signer == *member);
    let count = |members: &[Address]| members.iter().filter(|member| has_signed(member)).count();
    count(&change.current_members) >= usize::from(change.current_threshold)
        && count(&change.config.members) >= usize::from(change.config.threshold)
}
