-- Checks what the API's role may do, and what it may not. psql runs it as that role. It leaves nothing behind.

BEGIN;
INSERT INTO people (username, date_of_birth) VALUES ('helmtest', '2000-10-01')
    ON CONFLICT (username) DO UPDATE SET date_of_birth = EXCLUDED.date_of_birth;
INSERT INTO people (username, date_of_birth) VALUES ('helmtest', '2000-10-02')
    ON CONFLICT (username) DO UPDATE SET date_of_birth = EXCLUDED.date_of_birth;
DO $$
BEGIN
    IF (SELECT date_of_birth FROM people WHERE username = 'helmtest') IS DISTINCT FROM DATE '2000-10-02' THEN
        RAISE 'what was written is not what is read';
    END IF;
END $$;
ROLLBACK;

DO $$
DECLARE
    refused text;
BEGIN
    FOREACH refused IN ARRAY ARRAY[
        'CREATE TABLE helm_test (a int)',
        'CREATE TEMPORARY TABLE helm_test (a int)',
        'CREATE SCHEMA helm_test',
        'CREATE ROLE helm_test',
        'ALTER TABLE people ADD COLUMN helm_test int',
        'DROP TABLE people',
        'TRUNCATE people',
        'UPDATE people SET username = username'
    ] LOOP
        BEGIN
            EXECUTE refused;
        EXCEPTION WHEN insufficient_privilege THEN
            CONTINUE;
        END;
        RAISE '% is allowed to: %', current_user, refused;
    END LOOP;
END $$;

\echo the role of the API reads and writes people, and may do nothing else
