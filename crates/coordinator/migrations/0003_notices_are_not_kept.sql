-- Anybody may send a notice of a transaction; only what the chain shows is written down.

ALTER TABLE changes DROP COLUMN transaction_hash;
