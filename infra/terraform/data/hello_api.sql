-- The table of the birthday API, and the role hello_api, which signs in by a token of AWS IAM and has only the rights that the API needs.
-- psql runs it as the master user of RDS, in one transaction, in the database people (infra/terraform/README.md). It can be repeated.
-- On RDS the master user is no superuser, so this is not the migration of charts/postgres-db; a test compares the two tables.

SET LOCAL client_min_messages = warning;

-- One migration at a time.
SELECT pg_advisory_xact_lock(hashtext('birthday: migration')) AS locked \gset

CREATE TABLE IF NOT EXISTS public.people (
    username text COLLATE "C" PRIMARY KEY CHECK (username ~ '^[A-Za-z]{1,64}$'),
    date_of_birth date NOT NULL CHECK (date_of_birth >= DATE '0001-01-01')
);

-- Only the master user may create tables (temporary ones, too) and schemas here, and roles without a grant may not connect.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database()) \gexec

SELECT 'CREATE ROLE hello_api' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'hello_api') \gexec
-- No password: with rds_iam the server takes a token instead, and takes it over TLS only.
ALTER ROLE hello_api LOGIN NOCREATEDB NOCREATEROLE NOINHERIT PASSWORD NULL;
GRANT rds_iam TO hello_api;

ALTER ROLE hello_api SET search_path = public;
ALTER ROLE hello_api SET statement_timeout = '5s';
ALTER ROLE hello_api SET idle_in_transaction_session_timeout = '10s';

SELECT format('GRANT CONNECT ON DATABASE %I TO hello_api', current_database()) \gexec
GRANT USAGE ON SCHEMA public TO hello_api;
REVOKE CREATE ON SCHEMA public FROM hello_api;
-- The rights that `SELECT … WHERE username =`, `INSERT … ON CONFLICT (username) DO UPDATE SET date_of_birth` and `DELETE` need.
REVOKE ALL ON public.people FROM PUBLIC, hello_api;
GRANT SELECT (username, date_of_birth), INSERT (username, date_of_birth), UPDATE (date_of_birth), DELETE ON public.people TO hello_api;
