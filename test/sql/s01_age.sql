-- S1: age in the client's own zone: it changes at midnight of the birthday there; not known stays "unknown", nobody is left out.
\i test/lib/installed.sql
\i test/lib/profile_books.sql
\set ECHO all
UPDATE mfiauto.institution SET time_zone = 'Africa/Dakar';
INSERT INTO bank.client (id, tz, birth)
SELECT g, (ARRAY['Africa/Dakar', 'Asia/Tokyo', 'America/Lima', 'Europe/Paris', 'no/such', NULL])[1 + g % 6], (ARRAY['1990-03-30', '2008-03-29', '2000-02-29', '1960-12-31', NULL]::date[])[1 + g % 5]
  FROM generate_series(1, 60) g;
-- Every hour around the days in question, against the age that PostgreSQL counts.
CREATE TABLE public.seen (at timestamptz, client_id bigint, age integer, expected integer);
DO $$
DECLARE
  moment timestamptz;
BEGIN
  FOR moment IN SELECT d + h * interval '3 hours' FROM unnest('{2026-02-27,2026-02-28,2026-03-01,2026-03-28,2026-03-29,2026-03-30,2026-12-31,2027-01-01,2028-02-28,2028-02-29,2028-03-01}'::timestamptz[]) d, generate_series(0, 7) h ORDER BY 1 LOOP
    PERFORM pg_temp.pass(moment);
    INSERT INTO public.seen
    SELECT moment, p.client_id, p.age_years,
           extract(year FROM age((moment AT TIME ZONE coalesce(nullif(c.tz, 'no/such'), 'Africa/Dakar'))::date::timestamp, c.birth::timestamp))
      FROM mfiauto.client_profile p JOIN bank.client c ON c.id = p.client_id;
  END LOOP;
END $$;
SELECT count(*) AS looked, count(DISTINCT at) AS moments, count(*) FILTER (WHERE age IS DISTINCT FROM expected) AS wrong FROM public.seen;
-- When the eighteenth birthday of those born on 29 March 2008 came in each zone, and that of the 29th of February.
SELECT c.tz, c.birth, min(s.at) FILTER (WHERE s.age = 18) AS eighteen_at, min(s.at) FILTER (WHERE s.age = 26) AS twenty_six_at
  FROM public.seen s JOIN bank.client c ON c.id = s.client_id WHERE c.birth IN ('2008-03-29', '2000-02-29') GROUP BY 1, 2 ORDER BY 2, 1;
SELECT p.age_band, count(*) FROM mfiauto.client_profile p GROUP BY 1 ORDER BY 1;
SELECT pg_temp.drift();
