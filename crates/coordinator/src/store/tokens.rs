//! Sealed npm tokens, and the legacy lists that claims were made with.

use alloy_primitives::{Address, B256};
use client::coordinator::api::TokenAccess;
use sqlx::Row as _;
use trust::PackageName;
use trust::legacy::LegacyVersion;

use super::{Store, StoreError, quoted, read, signed, state_name, write};

/// A token as it lies in the database.
#[derive(Debug, Clone)]
pub(crate) struct StoredToken {
    /// See `vault`.
    pub(crate) sealed: String,
    pub(crate) npm_user: String,
    pub(crate) handed_over_by: Address,
    /// When the hand-over was signed: an older one never replaces a newer one.
    pub(crate) issued_at: u64,
    pub(crate) stored_at: u64,
    pub(crate) expires_at: Option<u64>,
    pub(crate) publish_access: TokenAccess,
}

impl Store {
    /// Keeps a token unless one from a later hand-over is there; whether it was kept.
    pub(crate) async fn put_token(
        &self,
        package: &PackageName,
        token: &StoredToken,
    ) -> Result<bool, StoreError> {
        let kept = sqlx::query(
            "INSERT INTO tokens (package, sealed, npm_user, handed_over_by, issued_at, stored_at, expires_at, publish_access)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (package) DO UPDATE SET sealed = excluded.sealed, npm_user = excluded.npm_user,
               handed_over_by = excluded.handed_over_by, issued_at = excluded.issued_at,
               stored_at = excluded.stored_at, expires_at = excluded.expires_at,
               publish_access = excluded.publish_access
             WHERE excluded.issued_at > tokens.issued_at",
        )
        .bind(package.as_str())
        .bind(&token.sealed)
        .bind(&token.npm_user)
        .bind(token.handed_over_by.to_string())
        .bind(signed(token.issued_at))
        .bind(signed(token.stored_at))
        .bind(token.expires_at.map(signed))
        .bind(state_name(token.publish_access))
        .execute(&self.pool)
        .await?
        .rows_affected();
        Ok(kept == 1)
    }

    pub(crate) async fn token(&self, package: &PackageName) -> Result<Option<StoredToken>, StoreError> {
        let row = sqlx::query("SELECT * FROM tokens WHERE package = ?")
            .bind(package.as_str())
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| {
            Ok(StoredToken {
                sealed: row.get("sealed"),
                npm_user: row.get("npm_user"),
                handed_over_by: read("address", &quoted(row.get("handed_over_by")))?,
                issued_at: row.get::<i64, _>("issued_at").unsigned_abs(),
                stored_at: row.get::<i64, _>("stored_at").unsigned_abs(),
                expires_at: row.get::<Option<i64>, _>("expires_at").map(i64::unsigned_abs),
                publish_access: read("access", &quoted(row.get("publish_access")))?,
            })
        })
        .transpose()
    }

    /// Keeps a list under its root.
    pub(crate) async fn put_legacy_list(
        &self,
        package: &PackageName,
        root: B256,
        versions: &[LegacyVersion],
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO legacy_lists (package, root, versions) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(package.as_str())
        .bind(root.to_string())
        .bind(write("legacy list", &versions)?)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The list with this root.
    pub(crate) async fn legacy_list(
        &self,
        package: &PackageName,
        root: B256,
    ) -> Result<Option<Vec<LegacyVersion>>, StoreError> {
        let row = sqlx::query("SELECT versions FROM legacy_lists WHERE package = ? AND root = ?")
            .bind(package.as_str())
            .bind(root.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| read("legacy list", &row.get::<String, _>("versions"))).transpose()
    }
}
