-- Three tables alike, 15 columns each: no trigger, our capture trigger, and the plpgsql trigger that people write.
CREATE SCHEMA bench;
CREATE SEQUENCE bench.id START 1000000;
CREATE TABLE bench.bare (
  id bigint PRIMARY KEY, loan_id bigint NOT NULL, number integer NOT NULL, from_date date, due_date date NOT NULL,
  principal numeric(14,2) NOT NULL, interest numeric(14,2), fees numeric(14,2), penalty numeric(14,2), paid numeric(14,2),
  paid_on date, status integer, note text, created_at timestamptz, updated_at timestamptz);
CREATE TABLE bench.captured (LIKE bench.bare INCLUDING ALL);
CREATE TABLE bench.outbox (LIKE bench.bare INCLUDING ALL);
CREATE FUNCTION bench.row(n bigint) RETURNS bench.bare LANGUAGE sql AS $$
  SELECT (n, n / 12, (n % 12)::int, date '2026-01-01', date '2026-01-01' + (n % 365)::int, 10000, 500, 50, 0, NULL, NULL, 300,
          'an installment like any other', timestamptz '2026-01-01 08:00+00', timestamptz '2026-01-01 08:00+00')::bench.bare $$;
INSERT INTO bench.bare SELECT r.* FROM generate_series(1, 20000) n, bench.row(n) r;
INSERT INTO bench.captured TABLE bench.bare;
INSERT INTO bench.outbox TABLE bench.bare;

SELECT mfiauto.bind('installment', 'bench.captured', '{"installment_id": "id", "loan_id": "loan_id", "number": "number",
  "due_date": "due_date", "amount_due": "principal + interest + fees", "amount_paid": "coalesce(paid, 0)", "paid_on": "paid_on"}');

CREATE TABLE bench.queue (id bigserial PRIMARY KEY, at timestamptz DEFAULT now(), operation text, row_data jsonb);
CREATE FUNCTION bench.enqueue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO bench.queue (operation, row_data) VALUES (TG_OP, to_jsonb(NEW));
  RETURN NULL;
END $$;
CREATE TRIGGER enqueue AFTER INSERT OR UPDATE ON bench.outbox FOR EACH ROW EXECUTE FUNCTION bench.enqueue();

-- Between rounds both queues are emptied, so that neither pays for the other's growth.
CREATE FUNCTION bench.forget_journal() RETURNS void LANGUAGE sql AS $$
  TRUNCATE mfiauto.journal_1, mfiauto.journal_2, mfiauto.journal_3, mfiauto.journal_4, bench.queue $$;
