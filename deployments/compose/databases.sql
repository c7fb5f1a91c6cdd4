-- Run once, when the volume is new, in the database that POSTGRES_DB names. Extensions need a superuser; migrations do not.
CREATE EXTENSION IF NOT EXISTS vector;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS unaccent;
-- Prefect keeps its records apart from ours, so either can be dropped alone.
CREATE DATABASE prefect;
\connect prefect
CREATE EXTENSION IF NOT EXISTS pg_trgm;
