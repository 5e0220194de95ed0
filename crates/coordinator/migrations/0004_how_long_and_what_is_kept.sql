-- Since when every attempt to publish ended alike: what stays so is believed.
ALTER TABLE proposals ADD COLUMN attention_since BIGINT;

-- 0 once the tarball of a proposal that ended without a record was removed.
ALTER TABLE proposals ADD COLUMN tarball_kept BIGINT NOT NULL DEFAULT 1;
