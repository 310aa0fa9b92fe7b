#!/bin/sh
# Run by PostgreSQL's image when its data is new: the login of every Feira process but `feira migrate`.
# It may only do what the role feira_app may, which cannot change what the ledger says.
set -eu
psql --set=ON_ERROR_STOP=1 --set=password="$FEIRA_NODE_PASSWORD" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE feira_app NOLOGIN;
CREATE ROLE feira_node LOGIN PASSWORD :'password' IN ROLE feira_app;
SQL
