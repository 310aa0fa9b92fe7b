-- Whether others see when somebody is or was here.
ALTER TABLE users ADD COLUMN last_seen_visible boolean NOT NULL DEFAULT true;
