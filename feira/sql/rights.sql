-- What the application's role may do: read and write every table, but never change or remove what the ledger and the audit log say.
-- Run after every migration, so that new tables are the application's too. It owns nothing: it can neither
-- change a table nor disable a trigger.
DO $$
BEGIN
    CREATE ROLE feira_app NOLOGIN;
EXCEPTION
    -- Databases of one server share its roles, and may be migrated at the same time.
    WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

GRANT USAGE ON SCHEMA public, sandbox TO feira_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, sandbox TO feira_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public, sandbox TO feira_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public, sandbox GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO feira_app;

REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM feira_app;
REVOKE UPDATE, DELETE ON ledger_accounts, ledger_transactions, ledger_postings FROM feira_app;
REVOKE UPDATE, DELETE ON provider_movements FROM feira_app;
REVOKE UPDATE, DELETE ON audit_entries FROM feira_app;
REVOKE DELETE ON ledger_balances FROM feira_app;
