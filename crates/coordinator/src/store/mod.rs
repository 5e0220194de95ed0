//! What the coordinator remembers, in SQLite. Every move of a state goes through `transitions` and is a
//! compare-and-set on the state that was read, so two jobs can never both take a step.

mod changes;
mod proposals;
mod tarballs;
#[cfg(test)]
pub(crate) mod tests;
mod tokens;

use std::path::Path;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes};
use client::coordinator::api::CollectedSignature;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Row as _, Sqlite, SqlitePool, Transaction};

pub(crate) use proposals::Details;
pub(crate) use tokens::StoredToken;

/// Most rows of one list.
pub(crate) const MAX_LIST: i64 = 200;

#[derive(Clone)]
pub(crate) struct Store {
    pool: SqlitePool,
}

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database.
    #[error("coordinator database failed")]
    Database(#[from] sqlx::Error),
    /// Its schema.
    #[error("coordinator database cannot be brought up to date")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A row that cannot be read back.
    #[error("coordinator database holds a damaged {what}")]
    Damaged {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The state is no longer the one that was read.
    #[error("{subject} is no longer {expected}")]
    Moved {
        /// Its id.
        subject: B256,
        /// The state that was read.
        expected: String,
    },
    /// A move that the table does not have: our bug.
    #[error("no move leads from {from} to {to}")]
    Forbidden {
        /// From.
        from: String,
        /// To.
        to: String,
    },
}

impl Store {
    pub(crate) async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        sqlx::migrate!("./migrations").run(&pool).await?;
        Ok(Self { pool })
    }

    /// The signatures over a digest, in the order they came.
    pub(crate) async fn signatures(&self, subject: B256) -> Result<Vec<CollectedSignature>, StoreError> {
        let rows = sqlx::query("SELECT signer, signature, signed_at FROM signatures WHERE subject = ? ORDER BY signed_at, signer")
            .bind(subject.to_string())
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| {
                let text = |column| quoted(row.get::<String, _>(column));
                Ok(CollectedSignature {
                    signer: read("signature", &text("signer"))?,
                    signature: read("signature", &text("signature"))?,
                    at: row.get::<i64, _>("signed_at").unsigned_abs(),
                })
            })
            .collect()
    }

    /// Adds a signature of a proposal or a change.
    pub(crate) async fn add_signature(
        &self,
        subject: B256,
        signer: Address,
        signature: &Bytes,
        now: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        Self::insert_signature(&mut transaction, subject, signer, signature, now).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn insert_signature(
        transaction: &mut Transaction<'_, Sqlite>,
        subject: B256,
        signer: Address,
        signature: &Bytes,
        now: u64,
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO signatures (subject, signer, signature, signed_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(subject.to_string())
            .bind(signer.to_string())
            .bind(signature.to_string())
            .bind(signed(now))
            .execute(&mut **transaction)
            .await?;
        Ok(())
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn write<T: Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|source| StoreError::Damaged { what, source })
}

fn read<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|source| StoreError::Damaged { what, source })
}

/// A plain text column as the JSON string it stands for.
fn quoted(text: String) -> String {
    serde_json::Value::String(text).to_string()
}

/// The name of a state as the API writes it.
fn state_name<T: Serialize>(state: T) -> String {
    serde_json::to_value(state).ok().and_then(|value| Some(value.as_str()?.to_owned())).unwrap_or_default()
}
