-- S13: finishing a lesson raises education_score by the weight that the table gives it, once.
\i test/lib/installed.sql
\i test/lib/profile_books.sql
\set ECHO all
UPDATE mfiauto.institution SET time_zone = 'Africa/Dakar';
INSERT INTO bank.client (id) SELECT g FROM generate_series(1, 3) g;
SELECT mfiauto.set_education_weight('Lesson Completed', 10, '{"lesson": "savings"}'), mfiauto.set_education_weight('Lesson Completed', 15, '{"lesson": "credit"}'),
       mfiauto.set_education_weight('Quiz Answered', 2.5, '{"quiz": "savings", "correct": true}');
SELECT pg_temp.pass('2026-01-05 08:00+00');
CREATE FUNCTION pg_temp.scores() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(format('%s: %s', p.client_id, p.education_score), ', ' ORDER BY p.client_id) FROM mfiauto.client_profile p $$;
SELECT pg_temp.scores();
SELECT count(mfiauto.track(e.name, 1, e.properties::jsonb)) FROM (VALUES ('Lesson Completed', '{"lesson": "savings", "minutes": 12}')) e(name, properties);
SELECT pg_temp.pass('2026-01-05 09:00+00');
SELECT pg_temp.scores();
-- Again: nothing more. Another lesson, a wrong answer, a right one; a lesson that nobody weighed.
SELECT count(mfiauto.track(e.name, e.client_id, e.properties::jsonb))
  FROM (VALUES ('Lesson Completed', 1, '{"lesson": "savings"}'), ('Lesson Completed', 2, '{"lesson": "credit"}'), ('Quiz Answered', 1, '{"quiz": "savings", "correct": true}'),
               ('Quiz Answered', 2, '{"quiz": "savings", "correct": false}'), ('Lesson Completed', 3, '{"lesson": "poetry"}')) e(name, client_id, properties);
SELECT pg_temp.pass('2026-01-05 10:00+00');
SELECT pg_temp.scores();
-- Weights change for everybody.
SELECT mfiauto.set_education_weight('Lesson Completed', 12, '{"lesson": "savings"}'), mfiauto.set_education_weight('Lesson Completed', 1);
SELECT pg_temp.pass('2026-01-05 11:00+00');
SELECT pg_temp.scores();
SELECT mfiauto.set_education_weight('Lesson Completed', NULL, '{"lesson": "savings"}');
SELECT pg_temp.pass('2026-01-05 12:00+00');
SELECT pg_temp.scores();
SELECT mfiauto.set_education_weight('Lesson Completed', 1, '[]');
SELECT mfiauto.set_education_weight('Lesson Completed', 5000);
SELECT pg_temp.drift();
