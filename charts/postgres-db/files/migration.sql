-- The table of the birthday API, and a role with only the rights that the API needs.
-- psql runs it as a superuser, in one transaction, with the variables role, statement_timeout and connection_limit. The role's
-- password is in the file that the environment variable API_PASSWORD_FILE names. It can be repeated.

\set password `cat "$API_PASSWORD_FILE"`

SET LOCAL client_min_messages = warning;

-- One migration at a time.
SELECT pg_advisory_xact_lock(hashtext('birthday: migration')) AS locked \gset

-- The same table that the API creates if it may (component/src/store/postgres.rs); a test compares the two.
CREATE TABLE IF NOT EXISTS public.people (
    username text COLLATE "C" PRIMARY KEY CHECK (username ~ '^[A-Za-z]{1,64}$'),
    date_of_birth date NOT NULL CHECK (date_of_birth >= DATE '0001-01-01')
);
-- The API's role must not own the table, even if it created it: an owner may drop it.
ALTER TABLE public.people OWNER TO CURRENT_USER;

-- Only superusers may create tables (temporary ones, too) and schemas here, and roles without a grant may not connect.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', datname)
FROM pg_database WHERE datallowconn AND datname IN (current_database(), 'postgres', 'template1') \gexec

SELECT format('CREATE ROLE %I', :'role') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec

-- The password must not get into the server's log, whatever the server is set to log.
SET LOCAL log_statement = 'none';
SET LOCAL log_min_duration_statement = -1;
SET LOCAL log_min_duration_sample = -1;
SET LOCAL log_transaction_sample_rate = 0;
SET LOCAL log_min_error_statement = 'panic';
SET LOCAL password_encryption = 'scram-sha-256';
ALTER ROLE :"role" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT
    CONNECTION LIMIT :connection_limit PASSWORD :'password';
RESET log_min_error_statement;

ALTER ROLE :"role" SET search_path = public;
ALTER ROLE :"role" SET statement_timeout = :'statement_timeout';
ALTER ROLE :"role" SET idle_in_transaction_session_timeout = '10s';

SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), :'role') \gexec
GRANT USAGE ON SCHEMA public TO :"role";
REVOKE CREATE ON SCHEMA public FROM :"role";
-- The rights that `SELECT … WHERE username =`, `INSERT … ON CONFLICT (username) DO UPDATE SET date_of_birth` and `DELETE` need.
REVOKE ALL ON public.people FROM PUBLIC, :"role";
GRANT SELECT (username, date_of_birth), INSERT (username, date_of_birth), UPDATE (date_of_birth), DELETE ON public.people TO :"role";
