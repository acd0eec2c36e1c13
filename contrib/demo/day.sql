-- One day of the story, in a psql session that sets the clock. Needs the psql variable day and, in the environment,
-- GATEWAY: the command that asks the provider for what it has to report.

\set callbacks ''
\o /dev/null
SELECT play.news(:'day');

-- 09:00, the hour of the reminders: the engine decides and composes, delivery sends over HTTP.
SELECT mfiauto.set_clock((:'day'::date + time '09:00') AT TIME ZONE 'Africa/Dakar');
SELECT * FROM mfiauto.run_engine();
SELECT sent AS sent_first, retrying AS retrying_first, failed AS failed_first FROM mfiauto.run_delivery() \gset

-- 09:10: who was told to wait is tried again.
SELECT mfiauto.set_clock((:'day'::date + time '09:10') AT TIME ZONE 'Africa/Dakar');
SELECT sent AS sent_again, failed AS failed_again FROM mfiauto.run_delivery() \gset

-- 10:00: the provider's reports come in, each as its webhook would bring it.
SELECT mfiauto.set_clock((:'day'::date + time '10:00') AT TIME ZONE 'Africa/Dakar');
\set callbacks `$GATEWAY /receipts`
SELECT play.take_callbacks(:'callbacks') AS receipts \gset

-- 14:00: people pay; whatever was still planned for what they paid is withdrawn.
SELECT mfiauto.set_clock((:'day'::date + time '14:00') AT TIME ZONE 'Africa/Dakar');
SELECT play.pay(:'day') AS payments \gset
SELECT * FROM mfiauto.run_engine();

-- After midnight: what pg_cron would run.
SELECT mfiauto.set_clock((:'day'::date + 1 + time '00:30') AT TIME ZONE 'Africa/Dakar');
SET client_min_messages = warning;
SELECT mfiauto.refresh_kpis();
RESET client_min_messages;
\o
SELECT to_char(:'day'::date, 'Dy DD Mon') || format('   sent %5s   refused %3s   to be tried again %3s   receipts %5s   payments %4s',
  :sent_first + :sent_again, :failed_first + :failed_again, :retrying_first, :receipts, :payments);
