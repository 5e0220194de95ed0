-- Text, integers and nothing else, so that SQLite and PostgreSQL read the same schema.
-- Hashes, addresses and signatures are 0x-hex; documents are JSON; times are Unix seconds.

CREATE TABLE proposals (
    id               TEXT   NOT NULL PRIMARY KEY,
    package          TEXT   NOT NULL,
    state            TEXT   NOT NULL,
    release          TEXT   NOT NULL,
    tarball          TEXT   NOT NULL,
    proposer         TEXT   NOT NULL,
    members          TEXT   NOT NULL,
    threshold        BIGINT NOT NULL,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL,
    transaction_hash TEXT,
    block_number     BIGINT,
    npm              TEXT,
    attention        TEXT,
    reason           TEXT,
    attempts         BIGINT NOT NULL,
    next_attempt_at  BIGINT NOT NULL
);
CREATE INDEX proposals_by_package ON proposals (package, created_at);
CREATE INDEX proposals_by_state ON proposals (state, next_attempt_at);

CREATE TABLE changes (
    id                TEXT   NOT NULL PRIMARY KEY,
    package           TEXT   NOT NULL,
    state             TEXT   NOT NULL,
    config            TEXT   NOT NULL,
    current_members   TEXT   NOT NULL,
    current_threshold BIGINT NOT NULL,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    transaction_hash  TEXT
);
CREATE INDEX changes_by_package ON changes (package, created_at);

CREATE TABLE signatures (
    subject   TEXT   NOT NULL,
    signer    TEXT   NOT NULL,
    signature TEXT   NOT NULL,
    signed_at BIGINT NOT NULL,
    PRIMARY KEY (subject, signer)
);

-- Encrypted; see vault.rs.
CREATE TABLE tokens (
    package        TEXT   NOT NULL PRIMARY KEY,
    sealed         TEXT   NOT NULL,
    npm_user       TEXT   NOT NULL,
    handed_over_by TEXT   NOT NULL,
    issued_at      BIGINT NOT NULL,
    stored_at      BIGINT NOT NULL,
    expires_at     BIGINT
);

CREATE TABLE legacy_lists (
    package  TEXT NOT NULL,
    root     TEXT NOT NULL,
    versions TEXT NOT NULL,
    PRIMARY KEY (package, root)
);
