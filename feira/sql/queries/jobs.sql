-- name: insert_jobs
-- Add jobs to the transaction that causes them; a known dedup key makes the row a no-op.
INSERT INTO jobs (kind, args, run_at, attempts_max, dedup)
SELECT * FROM unnest($1::text[], $2::jsonb[], $3::timestamptz[], $4::int[], $5::text[])
ON CONFLICT (dedup) DO NOTHING;
