\set ECHO none
-- The head of a test: mfiauto, installed. Nothing is echoed until the test says so.
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
