-- Binds Apache Fineract's books to mfiauto. Run in the tenant's database, after CREATE EXTENSION mfiauto and install():
--
--   psql -X -v ON_ERROR_STOP=1 -d TENANT [-v VARIABLE=value …] -f contrib/fineract/bind.sql
--
--   country          ISO 3166 code that phone numbers without a country code belong to       (default SN)
--   time_zone        the tenant's zone: Fineract keeps it in the tenant store, not here       (default UTC)
--   locale           language of clients for whom none is recorded                            (default fr)
--   contact_table    the institution's own table with one row a client, keyed by client_id    (default: none)
--   language_column, consent_column, channel_column
--                    its columns: a locale such as fr or wo, a boolean, a channel name         (defaults language, consent, channel)
--
-- The adapter reads Fineract through SQL functions with string bodies: nothing here depends on a column of the host, so
-- Fineract's own schema changes at application start are never blocked. Ids are stable in the business's sense: Fineract
-- deletes and re-inserts schedule rows, so an installment is loan_id * 1000 + installment.

\set ON_ERROR_STOP on
\if :{?country} \else \set country SN \endif
\if :{?time_zone} \else \set time_zone UTC \endif
\if :{?locale} \else \set locale fr \endif
\if :{?contact_table} \else \set contact_table '' \endif
\if :{?language_column} \else \set language_column language \endif
\if :{?consent_column} \else \set consent_column consent \endif
\if :{?channel_column} \else \set channel_column channel \endif

BEGIN;
SELECT mfiauto.set_institution(country => :'country', time_zone => :'time_zone', locale => :'locale') \g /dev/null

CREATE SCHEMA mfiauto_fineract;
COMMENT ON SCHEMA mfiauto_fineract IS 'Apache Fineract''s books in the shape that mfiauto.bind() takes.';

-- Clients. The country of a number is the institution's; gender is the code value's text.
SELECT format($sql$
CREATE FUNCTION mfiauto_fineract.client_rows()
RETURNS TABLE (client_id bigint, name text, phone text, email text, locale text, birth_date date, gender text, region text,
               status text, joined_on date, officer_id bigint, branch_id bigint, channel text, consent boolean)
LANGUAGE sql STABLE ROWS 10000 AS $body$
  SELECT c.id, c.display_name::text, c.mobile_no::text, c.email_address::text, %1$s, c.date_of_birth,
         CASE lower(g.code_value) WHEN 'male' THEN 'male' WHEN 'female' THEN 'female' WHEN 'm' THEN 'male' WHEN 'f' THEN 'female' END,
         o.name::text,
         CASE c.status_enum WHEN 300 THEN 'active' WHEN 303 THEN 'active' WHEN 304 THEN 'active' WHEN 600 THEN 'closed'
                            WHEN 700 THEN 'rejected' WHEN 800 THEN 'withdrawn' ELSE 'pending' END,
         c.activation_date, c.staff_id, c.office_id, %2$s, %3$s
    FROM public.m_client c
    LEFT JOIN public.m_office o ON o.id = c.office_id
    LEFT JOIN public.m_code_value g ON g.id = c.gender_cv_id
    %4$s
$body$ $sql$,
    CASE WHEN :'contact_table' = '' THEN 'NULL::text' ELSE format('k.%I::text', :'language_column') END,
    CASE WHEN :'contact_table' = '' THEN 'NULL::text' ELSE format('k.%I::text', :'channel_column') END,
    CASE WHEN :'contact_table' = '' THEN 'NULL::boolean' ELSE format('k.%I::boolean', :'consent_column') END,
    CASE WHEN :'contact_table' = '' THEN '' ELSE (SELECT format('LEFT JOIN %I.%I k ON k.client_id = c.id', n.nspname, t.relname)
            FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace WHERE t.oid = nullif(:'contact_table', '')::regclass) END) \gexec
CREATE VIEW mfiauto_fineract.client WITH (security_invoker) AS SELECT * FROM mfiauto_fineract.client_rows();

-- Loans, as of any status: rows exist from the application on. A charged-off loan keeps status 300 in Fineract; nobody is
-- reminded of it, so it counts as written off here.
CREATE FUNCTION mfiauto_fineract.loan_rows()
RETURNS TABLE (loan_id bigint, client_id bigint, product text, principal numeric, currency text, status text, applied_on date,
               approved_on date, disbursed_on date, maturity_on date, closed_on date, written_off_on date, outstanding numeric,
               cycle integer, officer_id bigint, branch_id bigint)
LANGUAGE sql STABLE ROWS 10000 AS $body$
  SELECT l.id, l.client_id, p.name::text, l.principal_amount, l.currency_code::text,
         CASE WHEN l.is_charged_off AND l.loan_status_id IN (300, 303, 304) THEN 'written_off'
              ELSE CASE l.loan_status_id WHEN 100 THEN 'applied' WHEN 200 THEN 'approved' WHEN 300 THEN 'active' WHEN 303 THEN 'active'
                                         WHEN 304 THEN 'active' WHEN 400 THEN 'withdrawn' WHEN 500 THEN 'rejected' WHEN 600 THEN 'closed'
                                         WHEN 601 THEN 'written_off' WHEN 602 THEN 'rescheduled' WHEN 700 THEN 'closed' END END,
         l.submittedon_date, l.approvedon_date, l.disbursedon_date, coalesce(l.maturedon_date, l.expected_maturedon_date), l.closedon_date,
         coalesce(l.writtenoffon_date, l.charged_off_on_date), l.principal_outstanding_derived, l.loan_counter::integer,
         l.loan_officer_id, coalesce(c.office_id, g.office_id)
    FROM public.m_loan l
    LEFT JOIN public.m_product_loan p ON p.id = l.product_id
    LEFT JOIN public.m_client c ON c.id = l.client_id
    LEFT JOIN public.m_group g ON g.id = l.group_id
$body$;
CREATE VIEW mfiauto_fineract.loan WITH (security_invoker) AS SELECT * FROM mfiauto_fineract.loan_rows();

-- Who answers for a group's loan: the group's members. Joint-liability loans have a client of their own.
CREATE FUNCTION mfiauto_fineract.loan_party_rows()
RETURNS TABLE (loan_id bigint, client_id bigint, role text, since date, until date)
LANGUAGE sql STABLE ROWS 1000 AS $body$
  SELECT l.id, m.client_id, 'borrower'::text, NULL::date, NULL::date
    FROM public.m_loan l JOIN public.m_group_client m ON m.group_id = l.group_id
   WHERE l.client_id IS NULL
$body$;
CREATE VIEW mfiauto_fineract.loan_party WITH (security_invoker) AS SELECT * FROM mfiauto_fineract.loan_party_rows();

-- Consent as the institution's table has it: a yes or no to education and marketing (reminders of what is owed need none). Records what
-- changed since it was last looked at, and says of how many clients. Run it here and then as often as consent must be fresh.
CREATE FUNCTION mfiauto_fineract.sync_consent() RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  change record;
  change_count bigint := 0;
BEGIN
  FOR change IN
    SELECT c.client_id, c.consent FROM mfiauto_fineract.client_rows() c
      LEFT JOIN LATERAL (SELECT k.granted FROM mfiauto.consent k
                          WHERE k.client_id = c.client_id AND 'contact table' IN (k.source, k.reason) ORDER BY k.given_at DESC, k.consent_id DESC LIMIT 1) k ON true
     WHERE c.consent IS DISTINCT FROM k.granted AND c.consent IS NOT NULL
     ORDER BY c.client_id
  LOOP
    IF change.consent THEN
      PERFORM mfiauto.opt_in(change.client_id, purpose => p.purpose, source => 'contact table') FROM (VALUES ('education'), ('marketing')) p(purpose);
    ELSE
      PERFORM mfiauto.opt_out(change.client_id, purpose => p.purpose, reason => 'contact table') FROM (VALUES ('education'), ('marketing')) p(purpose);
    END IF;
    change_count := change_count + 1;
  END LOOP;
  RETURN change_count;
END $body$;
SELECT mfiauto_fineract.sync_consent() \g /dev/null

SELECT mfiauto.bind('client', 'mfiauto_fineract.client', '{
    "client_id": "client_id", "name": "name", "phone": "phone", "email": "email", "locale": "locale", "birth_date": "birth_date",
    "gender": "gender", "region": "region", "status": "status", "joined_on": "joined_on", "officer_id": "officer_id",
    "branch_id": "branch_id", "traits": "jsonb_strip_nulls(jsonb_build_object(''preferred_channel'', channel, ''consent'', consent))"}',
  sources => (jsonb_build_object('public.m_client', 'id')
    || CASE WHEN :'contact_table' = '' THEN '{}' ELSE jsonb_build_object(:'contact_table', 'client_id') END)) \g /dev/null
SELECT mfiauto.bind('loan', 'mfiauto_fineract.loan', '{
    "loan_id": "loan_id", "client_id": "client_id", "product": "product", "principal": "principal", "currency": "currency",
    "status": "status", "applied_on": "applied_on", "approved_on": "approved_on", "disbursed_on": "disbursed_on",
    "maturity_on": "maturity_on", "closed_on": "closed_on", "written_off_on": "written_off_on", "outstanding": "outstanding",
    "cycle": "cycle", "officer_id": "officer_id", "branch_id": "branch_id"}',
  sources => '{"public.m_loan": {"id": "id", "watch": ["loan_status_id", "client_id", "group_id", "loan_officer_id", "is_charged_off", "currency_code",
    "principal_amount", "principal_outstanding_derived", "disbursedon_date", "maturedon_date", "expected_maturedon_date", "closedon_date"]}}') \g /dev/null
SELECT mfiauto.bind('loan_party', 'mfiauto_fineract.loan_party', '{
    "loan_id": "loan_id", "client_id": "client_id", "role": "role", "since": "since", "until": "until"}',
  sources => '{"public.m_group_client": {"client_id": "client_id"}, "public.m_loan": {"id": "id", "watch": ["client_id", "group_id"]}}') \g /dev/null
-- Amounts are NULL when zero; what was waived is not owed any more. completed_derived is also true, and obligations_met_on_date
-- set, after a write-off, so "paid" is what was completed; the loan's status says that it was written off.
SELECT mfiauto.bind('installment', 'public.m_loan_repayment_schedule', '{
    "installment_id": "loan_id * 1000 + installment", "loan_id": "loan_id", "number": "installment", "due_date": "duedate",
    "amount_due": "coalesce(principal_amount, 0) + coalesce(interest_amount, 0) + coalesce(fee_charges_amount, 0) + coalesce(penalty_charges_amount, 0) - coalesce(interest_waived_derived, 0) - coalesce(fee_charges_waived_derived, 0) - coalesce(penalty_charges_waived_derived, 0)",
    "amount_paid": "coalesce(principal_completed_derived, 0) + coalesce(interest_completed_derived, 0) + coalesce(fee_charges_completed_derived, 0) + coalesce(penalty_charges_completed_derived, 0)",
    "paid_on": "CASE WHEN coalesce(principal_writtenoff_derived, 0) + coalesce(interest_writtenoff_derived, 0) + coalesce(fee_charges_writtenoff_derived, 0) + coalesce(penalty_charges_writtenoff_derived, 0) = 0 THEN obligations_met_on_date END"}') \g /dev/null
-- Money from the client: 2 repayment, 8 recovery after write-off, 28 down payment. Accruals and the rest are no news.
SELECT mfiauto.bind('payment', 'public.m_loan_transaction', format('{
    "payment_id": "id", "loan_id": "loan_id", "paid_at": "transaction_date::timestamp AT TIME ZONE %s", "amount": "amount",
    "reversed": "is_reversed"}', replace(to_json(quote_literal(:'time_zone'))::text, '"', ''))::jsonb,
  row_filter => 'transaction_type_enum IN (2, 8, 28)') \g /dev/null
SELECT mfiauto.bind('holding', 'public.m_savings_account', '{
    "holding_id": "id", "client_id": "client_id", "product": "''savings''::text", "opened_on": "activatedon_date",
    "closed_on": "closedon_date", "balance": "account_balance_derived",
    "status": "CASE status_enum WHEN 300 THEN ''active'' WHEN 600 THEN ''closed'' WHEN 700 THEN ''closed'' WHEN 800 THEN ''matured'' ELSE ''pending'' END"}',
  row_filter => 'client_id IS NOT NULL') \g /dev/null
COMMIT;
