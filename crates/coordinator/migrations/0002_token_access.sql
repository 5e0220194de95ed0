-- 'confirmed' where npm said that the token's account may publish the package, else 'unknown'.

ALTER TABLE tokens ADD COLUMN publish_access TEXT NOT NULL DEFAULT 'unknown';
