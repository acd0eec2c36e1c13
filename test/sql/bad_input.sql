-- Every public function given what it should not get, one argument at a time: each refusal has a SQLSTATE that fits, a plain
-- message, and a remedy. The tables of calls and of bad values are data: a new function needs a line for each of its arguments.
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION mfiauto;
CREATE TEMP TABLE function AS
  SELECT p.oid, p.proname::text AS name, p.proargnames[1:p.pronargs] AS arguments, p.proargtypes::oid[] AS types
    FROM pg_proc p WHERE p.pronamespace = 'mfiauto'::regnamespace AND p.proname !~ '^_' AND p.prorettype <> 'trigger'::regtype;
CREATE FUNCTION answer(call text, OUT state text, OUT message text, OUT detail text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('SELECT FROM (SELECT * FROM mfiauto.%s) x', call);
  RAISE EXCEPTION USING ERRCODE = 'ZZ999';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  state := nullif(state, 'ZZ999');
END $$;
CREATE TEMP VIEW null_call AS
  SELECT f.name, format('%s(%s)', f.name, (SELECT string_agg('NULL::' || format_type(t.type, NULL), ', ' ORDER BY t.n) FROM unnest(f.types) WITH ORDINALITY AS t(type, n))) AS call FROM function f;

-- Before install(): what needs the tables says so, the rest only computes.
SELECT a.state, a.message, a.hint, CASE WHEN a.state IS NULL OR a.hint !~ 'install' THEN string_agg(c.name, ' ' ORDER BY c.name) END AS functions, count(*) > 0 AS some
  FROM null_call c, answer(c.call) a WHERE c.name NOT IN ('install', 'job_statements', 'schedule_jobs', 'unschedule_jobs') GROUP BY 1, 2, 3 ORDER BY 1 NULLS FIRST, 2;
SELECT mfiauto.install();
\set ECHO none
\i test/lib/workflow_books.sql
\set ECHO all
-- Tables of another version than the code's.
BEGIN;
UPDATE mfiauto.installation SET schema_version = 0;
SELECT a.state, a.message, a.hint, count(*) > 50 AS most FROM null_call c, answer(c.call) a
 WHERE a.state IS NOT NULL AND c.name NOT IN ('install', 'uninstall', 'migrate', 'schedule_jobs', 'unschedule_jobs') GROUP BY 1, 2, 3;
SELECT mfiauto.migrate();
ROLLBACK;

CREATE TABLE bank.payment (id bigint, loan_id bigint, at timestamptz, amount numeric);
CREATE SEQUENCE bank.s;
CREATE TABLE wdef AS SELECT '{"for_each": "installment", "anchor": "due_date", "steps": [{"at": "0 days 09:00", "send": "late"}]}'::json AS d;
CREATE ROLE regress_bad_input;
SELECT mfiauto.create_workflow('w', d) FROM wdef;
SELECT mfiauto.create_gateway('g', channel => 'sms', preset => 'sandbox'), mfiauto.create_gateway('post', channel => 'email', preset => 'sandbox');
SELECT mfiauto.create_segment('seg', 'SELECT client_id FROM mfiauto.client'), mfiauto.create_segment('listed', clients => '{1}');
SELECT mfiauto.create_trait('worth', 'SELECT client_id, 1 AS value FROM mfiauto.client'), mfiauto.set_area('Thies');
SELECT mfiauto.create_workflow('live', '{"trigger": {"manual": true}, "steps": [{"end": true}]}'), mfiauto.activate_workflow('live');
SELECT mfiauto.set_institution(public_url => 'https://m.mfi.example'), mfiauto.allow_link_host('pay.mfi.example'), mfiauto.create_link('pay', 'https://pay.mfi.example/'), mfiauto.add_bot_sign('agent', 'nosy', 'x'),
  mfiauto.add_test_recipient('sms', '+221770000009'), mfiauto.add_lint_word('fr', 'forbidden', 'machin', 'x');
CREATE TEMP TABLE good (function text, argument text, value text);
INSERT INTO good VALUES
  ('add_bot_sign', 'kind', $v$'agent'$v$),
  ('add_bot_sign', 'sign', $v$'watcher'$v$),
  ('add_bot_sign', 'meaning', $v$'x'$v$),
  ('allow_link_host', 'host', $v$'web.mfi.example'$v$),
  ('alter_link', 'name', $v$'pay'$v$),
  ('alter_link', 'url', $v$'https://pay.mfi.example/x'$v$),
  ('alter_link', 'utm', $v$'{}'$v$),
  ('alter_link', 'expires', $v$'1 day'$v$),
  ('create_link', 'name', $v$'shop'$v$),
  ('create_link', 'url', $v$'https://pay.mfi.example/y'$v$),
  ('create_link', 'utm', $v$'{}'$v$),
  ('create_link', 'expires', $v$'1 day'$v$),
  ('drop_bot_sign', 'kind', $v$'agent'$v$),
  ('drop_bot_sign', 'sign', $v$'nosy'$v$),
  ('drop_link', 'name', $v$'pay'$v$),
  ('drop_link_host', 'host', $v$'pay.mfi.example'$v$),
  ('rotate_link_key', 'keep', $v$true$v$),
  ('set_institution', 'public_url', $v$'https://m.mfi.example'$v$),
  ('set_institution', 'has_open_pixel', $v$true$v$),
  ('set_link_key', 'value', $v$repeat('k', 32)$v$),
  ('set_link_key', 'file', $v$NULL$v$),
  ('add_lint_word', 'language', $v$'fr'$v$),
  ('add_lint_word', 'kind', $v$'forbidden'$v$),
  ('add_lint_word', 'phrase', $v$'truc'$v$),
  ('add_lint_word', 'meaning', $v$'x'$v$),
  ('add_test_recipient', 'channel', $v$'sms'$v$),
  ('add_test_recipient', 'address', $v$'+221770000008'$v$),
  ('add_test_recipient', 'note', $v$'x'$v$),
  ('drop_lint_word', 'language', $v$'fr'$v$),
  ('drop_lint_word', 'kind', $v$'forbidden'$v$),
  ('drop_lint_word', 'phrase', $v$'machin'$v$),
  ('drop_test_recipient', 'channel', $v$'sms'$v$),
  ('drop_test_recipient', 'address', $v$'+221770000009'$v$),
  ('lint_template', 'name', $v$'late'$v$),
  ('set_lint_limit', 'rule', $v$'parts'$v$),
  ('set_lint_limit', 'level', $v$'warn'$v$),
  ('set_lint_limit', 'limit_value', $v$5$v$),
  ('test_template', 'name', $v$'late'$v$),
  ('test_template', 'client_id', $v$1$v$),
  ('test_template', 'to_address', $v$'+221770000009'$v$),
  ('test_template', 'subject_id', $v$NULL$v$),
  ('test_template', 'subject', $v$NULL$v$),
  ('test_template', 'channel', $v$'sms'$v$),
  ('test_template', 'locale', $v$'fr'$v$),
  ('ack_inbox', 'message_ids', $v$'{1}'::bigint[]$v$),
  ('ack_inbox', 'event', $v$'read'$v$),
  ('ack_inbox', 'client_id', $v$1::bigint$v$),
  ('activate_workflow', 'running', $v$'finish'$v$),
  ('alter_trait', 'name', $v$'worth'$v$),
  ('alter_trait', 'query', $v$NULL$v$),
  ('alter_trait', 'description', $v$'x'$v$),
  ('alter_trait', 'bands', $v$NULL$v$),
  ('approve_workflow', 'name', $v$'w'$v$),
  ('approve_workflow', 'version', $v$1$v$),
  ('assign_task', 'task_id', $v$1$v$),
  ('assign_task', 'assignee', $v$'Awa'$v$),
  ('client_timeline', 'client_id', $v$1$v$),
  ('client_timeline', 'since', $v$NULL$v$),
  ('client_timeline', 'until', $v$NULL$v$),
  ('close_task', 'task_id', $v$1$v$),
  ('close_task', 'outcome', $v$'visited'$v$),
  ('close_task', 'note', $v$'x'$v$),
  ('create_trait', 'name', $v$'made'$v$),
  ('create_trait', 'query', $v$'SELECT client_id, 1 AS value FROM mfiauto.client'$v$),
  ('create_trait', 'description', $v$'x'$v$),
  ('create_trait', 'bands', $v$NULL$v$),
  ('drop_area', 'area', $v$'Thies'$v$),
  ('drop_trait', 'name', $v$'worth'$v$),
  ('pause_workflow', 'clock', $v$'run'$v$),
  ('preview_move', 'name', $v$'w'$v$),
  ('serve', 'method', $v$'GET'$v$),
  ('serve', 'path', $v$'/health'$v$),
  ('serve', 'query', $v$''$v$),
  ('serve', 'headers', $v$'{}'::jsonb$v$),
  ('serve', 'body', $v$'x'::bytea$v$),
  ('serve', 'remote', $v$'192.0.2.1'::inet$v$),
  ('set_area', 'area', $v$'Mbour'$v$),
  ('set_area', 'parent', $v$'Thies'$v$),
  ('set_area', 'name', $v$'Mbour'$v$),
  ('set_education_weight', 'event', $v$'Lesson Completed'$v$),
  ('set_education_weight', 'weight', $v$10$v$),
  ('set_education_weight', 'properties', $v$'{}'$v$),
  ('set_interaction', 'event', $v$'Session Started'$v$),
  ('set_interaction', 'counts', $v$true$v$),
  ('set_sector', 'sector', $v$'A'$v$),
  ('set_sector', 'name', $v$'Farming'$v$),
  ('set_sector', 'aliases', $v$'{farm}'$v$),
  ('activate_workflow', 'name', $v$'w'$v$),
  ('activate_workflow', 'max_per_day', $v$5$v$),
  ('allow_node', 'node', $v$repeat('a',32)$v$),
  ('alter_gateway', 'name', $v$'g'$v$),
  ('alter_gateway', 'settings', $v$'{}'::json$v$),
  ('alter_gateway', 'definition', $v$NULL$v$),
  ('alter_gateway', 'priority', $v$5$v$),
  ('alter_gateway', 'is_enabled', $v$true$v$),
  ('add_to_segment', 'segment', $v$'listed'$v$),
  ('add_to_segment', 'client_ids', $v$'{1}'::bigint[]$v$),
  ('remove_from_segment', 'segment', $v$'listed'$v$),
  ('remove_from_segment', 'client_ids', $v$'{1}'::bigint[]$v$),
  ('alter_segment', 'name', $v$'seg'$v$),
  ('alter_segment', 'query', $v$NULL$v$),
  ('alter_segment', 'clients', $v$NULL$v$),
  ('alter_segment', 'description', $v$'x'$v$),
  ('alter_segment', 'real_time', $v$NULL$v$),
  ('alter_segment', 'refresh_every', $v$'1 hour'$v$),
  ('create_segment', 'name', $v$'seg2'$v$),
  ('create_segment', 'query', $v$NULL$v$),
  ('create_segment', 'clients', $v$'{1}'::bigint[]$v$),
  ('create_segment', 'description', $v$'x'$v$),
  ('create_segment', 'real_time', $v$NULL$v$),
  ('create_segment', 'refresh_every', $v$NULL$v$),
  ('drop_segment', 'name', $v$'listed'$v$),
  ('refresh_segment', 'name', $v$'seg'$v$),
  ('read_segment', 'segment', $v$'seg'$v$),
  ('segment_members', 'name', $v$'seg'$v$),
  ('segment_members', 'as_of', $v$'2026-01-01'$v$),
  ('segment_overlap', 'a', $v$'seg'$v$),
  ('segment_overlap', 'b', $v$'listed'$v$),
  ('check_segment', 'name', $v$'seg'$v$),
  ('protect_attribute', 'attribute', $v$'literacy'$v$),
  ('protect_attribute', 'reason', $v$'x'$v$),
  ('unprotect_attribute', 'attribute', $v$'gender'$v$),
  ('alter_template', 'name', $v$'late'$v$),
  ('alter_template', 'channel', $v$'sms'$v$),
  ('alter_template', 'locale', $v$NULL$v$),
  ('alter_template', 'class', $v$NULL$v$),
  ('alter_template', 'body', $v$'x'$v$),
  ('alter_template', 'subject', $v$NULL$v$),
  ('alter_template', 'html', $v$NULL$v$),
  ('alter_template', 'alphabet', $v$NULL$v$),
  ('alter_template', 'options', $v$NULL$v$),
  ('alter_workflow', 'name', $v$'w'$v$),
  ('alter_workflow', 'definition', $v$(select d from wdef)$v$),
  ('apply_retention', 'at_most', $v$10::bigint$v$),
  ('archive_workflow', 'name', $v$'w'$v$),
  ('bar_status', 'status', $v$'closed'$v$),
  ('bar_status', 'meaning', $v$'x'$v$),
  ('confirm_opt_in', 'client_id', $v$1::bigint$v$),
  ('confirm_opt_in', 'channel', $v$'sms'$v$),
  ('consent_at', 'client_id', $v$1::bigint$v$),
  ('consent_at', 'at', $v$NULL$v$),
  ('set_consent_text', 'version', $v$'v1'$v$),
  ('set_consent_text', 'locale', $v$'fr'$v$),
  ('set_consent_text', 'text', $v$'x'$v$),
  ('unbar_status', 'status', $v$'deceased'$v$),
  ('bind', 'role', $v$'payment'$v$),
  ('bind', 'relation', $v$'bank.payment'::regclass$v$),
  ('bind', 'columns', $v$'{"payment_id":"id","loan_id":"loan_id","paid_at":"at","amount":"amount"}'::jsonb$v$),
  ('bind', 'row_filter', $v$NULL$v$),
  ('bind', 'sources', $v$NULL$v$),
  ('bind', 'replica', $v$false$v$),
  ('cancel_messages', 'workflow', $v$'w'$v$),
  ('create_gateway', 'name', $v$'g2'$v$),
  ('create_gateway', 'channel', $v$'sms'$v$),
  ('create_gateway', 'preset', $v$'sandbox'$v$),
  ('create_gateway', 'definition', $v$NULL$v$),
  ('create_gateway', 'settings', $v$'{}'::json$v$),
  ('create_gateway', 'priority', $v$100$v$),
  ('create_template', 'name', $v$'t2'$v$),
  ('create_template', 'body', $v$'x'$v$),
  ('create_template', 'channel', $v$'sms'$v$),
  ('create_template', 'locale', $v$'*'$v$),
  ('create_template', 'class', $v$NULL$v$),
  ('create_template', 'subject', $v$NULL$v$),
  ('create_template', 'html', $v$NULL$v$),
  ('create_template', 'alphabet', $v$'gsm7-transliterate'$v$),
  ('create_template', 'options', $v$NULL$v$),
  ('create_write_key', 'name', $v$'app'$v$),
  ('create_workflow', 'name', $v$'w2'$v$),
  ('create_workflow', 'definition', $v$(select d from wdef)$v$),
  ('date_text', 'd', $v$'2026-01-01'::date$v$),
  ('date_text', 'locale', $v$'fr'$v$),
  ('drop_gateway', 'name', $v$'g'$v$),
  ('drop_holiday', 'on_date', $v$'2026-01-01'::date$v$),
  ('drop_holiday', 'country', $v$'*'$v$),
  ('drop_policy', 'country', $v$'SN'$v$),
  ('drop_policy', 'class', $v$'marketing'$v$),
  ('drop_retention', 'what', $v$'body'$v$),
  ('drop_retention', 'class', $v$'*'$v$),
  ('drop_secret', 'gateway', $v$'g'$v$),
  ('drop_secret', 'key', $v$'token'$v$),
  ('drop_template', 'name', $v$'late'$v$),
  ('drop_template', 'channel', $v$NULL$v$),
  ('drop_template', 'locale', $v$NULL$v$),
  ('drop_workflow', 'name', $v$'w'$v$),
  ('drop_write_key', 'name', $v$'app'$v$),
  ('enroll', 'workflow', $v$'w'$v$),
  ('enroll', 'client_id', $v$1::bigint$v$),
  ('enroll', 'subject_id', $v$101::bigint$v$),
  ('enroll', 'context', $v$NULL$v$),
  ('enroll', 'key', $v$NULL$v$),
  ('erase_client', 'client_id', $v$9999::bigint$v$),
  ('erase_client', 'reason', $v$'x'$v$),
  ('explain_client', 'client_id', $v$1::bigint$v$),
  ('explain_client', 'workflow', $v$'w'$v$),
  ('workflow_diagram', 'name', $v$'w'$v$),
  ('workflow_diagram', 'format', $v$'dot'$v$),
  ('workflow_diagram', 'version', '1'),
  ('export_client', 'client_id', $v$1::bigint$v$),
  ('grant_access', 'role', $v$'regress_bad_input'::regrole$v$),
  ('grant_access', 'profile', $v$'analyst'$v$),
  ('grant_access', 'officer_id', 'NULL'),
  ('grant_access', 'branch_id', 'NULL'),
  ('hold_delivery', 'reason', $v$'x'$v$),
  ('hold_delivery', 'gateway', $v$'g'$v$),
  ('hold_delivery', 'workflow', $v$NULL$v$),
  ('identify', 'client_id', $v$1::bigint$v$),
  ('identify', 'traits', $v$'{"a":1}'::jsonb$v$),
  ('import_definitions', 'definitions', $v$'{"mfiauto": 1}'$v$),
  ('import_definitions', 'activate', $v$false$v$),
  ('inbox', 'client_id', $v$1::bigint$v$),
  ('inbox', 'since', $v$NULL$v$),
  ('inbox', 'max_rows', $v$50$v$),
  ('inbox_unread', 'client_id', $v$1::bigint$v$),
  ('install_recipe', 'name', $v$'repayment_reminder'$v$),
  ('install_recipe', 'activate', $v$false$v$),
  ('money_text', 'amount', $v$5$v$),
  ('money_text', 'currency', $v$'XOF'$v$),
  ('money_text', 'locale', $v$'fr'$v$),
  ('normalize_phone', 'phone', $v$'+221770000001'$v$),
  ('normalize_phone', 'country', $v$'SN'$v$),
  ('opt_in', 'client_id', $v$1::bigint$v$),
  ('opt_in', 'channel', $v$'sms'$v$),
  ('opt_in', 'purpose', $v$'marketing'$v$),
  ('opt_in', 'source', $v$'x'$v$),
  ('opt_in', 'text_version', $v$'x'$v$),
  ('opt_in', 'proof', $v$'{}'::jsonb$v$),
  ('opt_out', 'client_id', $v$1::bigint$v$),
  ('opt_out', 'channel', $v$'sms'$v$),
  ('opt_out', 'purpose', $v$'marketing'$v$),
  ('opt_out', 'reason', $v$'x'$v$),
  ('pause_workflow', 'name', $v$'live'$v$),
  ('preview_activation', 'name', $v$'w'$v$),
  ('preview_answer', 'gateway', $v$'g'$v$),
  ('preview_answer', 'answer', $v$'{"status": 200}'::jsonb$v$),
  ('preview_request', 'gateway', $v$'g'$v$),
  ('preview_request', 'message', $v$'{"to": "+221770000001", "text": "x"}'::jsonb$v$),
  ('preview_template', 'name', $v$'late'$v$),
  ('preview_template', 'client_id', $v$1::bigint$v$),
  ('preview_template', 'subject_id', $v$101::bigint$v$),
  ('preview_template', 'subject', $v$'installment'$v$),
  ('receive', 'gateway', $v$'g'$v$),
  ('receive', 'headers', $v$'{}'::jsonb$v$),
  ('receive', 'body', $v$'x'$v$),
  ('reread_webhooks', 'gateway', $v$NULL$v$),
  ('refresh_kpis', 'since', $v$'2026-01-01'::date$v$),
  ('register_device', 'client_id', $v$1::bigint$v$),
  ('register_device', 'token', $v$'tok'$v$),
  ('register_device', 'device', $v$NULL$v$),
  ('release_delivery', 'stale', $v$'expire'$v$),
  ('release_delivery', 'gateway', $v$NULL$v$),
  ('release_delivery', 'workflow', $v$NULL$v$),
  ('render', 'template', $v$'x'$v$),
  ('render', 'context', $v$'{}'::jsonb$v$),
  ('render', 'partials', $v$NULL$v$),
  ('render', 'escape', $v$'html'$v$),
  ('resolve_unknown', 'message_id', $v$1::bigint$v$),
  ('resolve_unknown', 'state', $v$'delivered'$v$),
  ('resume_workflow', 'name', $v$'w'$v$),
  ('resync', 'role', $v$'client'$v$),
  ('retry_message', 'message_id', $v$1::bigint$v$),
  ('receive_mail', 'gateway', $v$'post'$v$),
  ('receive_mail', 'raw', $v$'From: a@b.example'::bytea$v$),
  ('retire_device', 'token', $v$'tok'$v$),
  ('revoke_access', 'role', $v$'regress_bad_input'::regrole$v$),
  ('revoke_access', 'profile', $v$'analyst'$v$),
  ('set_holiday', 'on_date', $v$'2026-01-01'::date$v$),
  ('set_holiday', 'name', $v$'x'$v$),
  ('set_holiday', 'country', $v$'SN'$v$),
  ('answer_conversation', 'client_id', $v$1::bigint$v$),
  ('answer_conversation', 'channel', $v$'sms'$v$),
  ('answer_conversation', 'body', $v$'Bonjour'$v$),
  ('answer_conversation', 'key', $v$NULL$v$),
  ('close_conversation', 'client_id', $v$1::bigint$v$),
  ('close_conversation', 'channel', $v$'sms'$v$),
  ('close_conversation', 'note', $v$'x'$v$),
  ('create_intent', 'name', $v$'how_to_pay'$v$),
  ('create_intent', 'examples', $v$'{"fr": ["comment payer"]}'::jsonb$v$),
  ('create_intent', 'template', $v$'late'$v$),
  ('create_intent', 'hands_over', $v$false$v$),
  ('create_intent', 'threshold', $v$0.5$v$),
  ('drop_intent', 'name', $v$'how_to_pay'$v$),
  ('drop_keyword', 'keyword', $v$'solde'$v$),
  ('drop_keyword', 'locale', $v$'fr'$v$),
  ('link_address', 'client_id', $v$1::bigint$v$),
  ('link_address', 'channel', $v$'telegram'$v$),
  ('link_address', 'address', $v$'4711'$v$),
  ('match_intent', 'body', $v$'comment payer'$v$),
  ('read_conversation', 'client_id', $v$1::bigint$v$),
  ('read_conversation', 'channel', $v$'sms'$v$),
  ('read_conversation', 'since', $v$NULL$v$),
  ('set_keyword', 'keyword', $v$'solde'$v$),
  ('set_keyword', 'action', $v$'event'$v$),
  ('set_keyword', 'locale', $v$'fr'$v$),
  ('set_keyword', 'place', $v$'alone'$v$),
  ('set_keyword', 'purpose', $v$NULL$v$),
  ('set_keyword', 'event', $v$'Balance Asked'$v$),
  ('set_keyword', 'template', $v$NULL$v$),
  ('set_keyword_answer', 'action', $v$'help'$v$),
  ('set_keyword_answer', 'template', $v$'late'$v$),
  ('take_conversation', 'client_id', $v$1::bigint$v$),
  ('take_conversation', 'channel', $v$'sms'$v$),
  ('set_institution', 'name', $v$'x'$v$),
  ('set_institution', 'country', $v$'SN'$v$),
  ('set_institution', 'time_zone', $v$'UTC'$v$),
  ('set_institution', 'locale', $v$'fr'$v$),
  ('set_institution', 'currency', $v$'XOF'$v$),
  ('set_institution', 'grace_days', $v$5$v$),
  ('set_policy', 'country', $v$'SN'$v$),
  ('set_policy', 'class', $v$'marketing'$v$),
  ('set_policy', 'contact_from', $v$'08:00'::time$v$),
  ('set_policy', 'contact_until', $v$'19:00'::time$v$),
  ('set_policy', 'weekdays', $v$'{1,2}'::int[]$v$),
  ('set_policy', 'skips_holidays', $v$true$v$),
  ('set_policy', 'break_weekday', $v$5$v$),
  ('set_policy', 'break_from', $v$'12:00'::time$v$),
  ('set_policy', 'break_until', $v$'14:00'::time$v$),
  ('set_policy', 'cap_count', $v$3$v$),
  ('set_policy', 'cap_days', $v$7$v$),
  ('set_policy', 'min_gap', $v$'1 day'::interval$v$),
  ('set_policy', 'barred_in_arrears', $v$true$v$),
  ('set_policy', 'double_opt_in', $v$true$v$),
  ('set_retention', 'what', $v$'body'$v$),
  ('set_retention', 'keep', $v$'6 months'::interval$v$),
  ('set_retention', 'class', $v$'*'$v$),
  ('set_policy', 'prefers_cheapest', $v$true$v$),
  ('set_secret', 'gateway', $v$'g'$v$),
  ('set_secret', 'key', $v$'token'$v$),
  ('set_secret', 'value', $v$'x'$v$),
  ('set_secret', 'file', $v$NULL$v$),
  ('set_secret', 'env', $v$NULL$v$),
  ('sms_parts', 'body', $v$'x'$v$),
  ('sms_transliterate', 'body', $v$'x'$v$),
  ('simulate_coverage', 'name', $v$'w'$v$),
  ('simulate_coverage', 'from_date', $v$'2026-01-01'::date$v$),
  ('simulate_coverage', 'to_date', $v$'2026-01-31'::date$v$),
  ('simulate_coverage', 'payments', $v$'none'$v$),
  ('simulate_workflow', 'name', $v$'w'$v$),
  ('simulate_workflow', 'from_date', $v$'2026-01-01'::date$v$),
  ('simulate_workflow', 'to_date', $v$'2026-01-31'::date$v$),
  ('simulate_workflow', 'payments', $v$'none'$v$),
  ('suppress_address', 'channel', $v$'sms'$v$),
  ('suppress_address', 'address', $v$'+221770000001'$v$),
  ('suppress_address', 'reason', $v$'x'$v$),
  ('task_context', 'task_id', $v$1::bigint$v$),
  ('test_gateway', 'gateway', $v$'g'$v$),
  ('test_gateway', 'to_address', $v$'+221770000001'$v$),
  ('test_gateway', 'body', $v$'x'$v$),
  ('time_text', 't', $v$'09:00'::time$v$),
  ('time_text', 'locale', $v$'fr'$v$),
  ('track', 'name', $v$'X'$v$),
  ('track', 'client_id', $v$1::bigint$v$),
  ('track', 'properties', $v$'{}'::jsonb$v$),
  ('track', 'occurred_at', $v$NULL$v$),
  ('track', 'subject', $v$NULL$v$),
  ('track', 'subject_id', $v$NULL$v$),
  ('unbind', 'role', $v$'client'$v$),
  ('unpark', 'workflow', $v$'w'$v$),
  ('unsuppress_address', 'channel', $v$'sms'$v$),
  ('unsuppress_address', 'address', $v$'+221770000001'$v$),
  ('unwatch', 'name', $v$'X'$v$),
  ('unwatch', 'relation', $v$'bank.loan'$v$),
  ('watch', 'name', $v$'X'$v$),
  ('watch', 'relation', $v$'bank.loan'::regclass$v$),
  ('watch', 'operation', $v$'UPDATE'$v$),
  ('watch', 'condition', $v$NULL$v$),
  ('watch', 'client', $v$'client_id'$v$),
  ('watch', 'subject', $v$'id'$v$),
  ('watch', 'properties', $v$NULL$v$);
-- A function without its line here is a function without its test.
SELECT f.name FROM function f WHERE cardinality(f.arguments) > 0
   AND f.name NOT IN ('install', 'uninstall', 'schedule_jobs', 'unschedule_jobs', 'job_statements', 'set_clock')
   AND f.arguments <> ARRAY(SELECT g.argument FROM good g WHERE g.function = f.name ORDER BY array_position(f.arguments, g.argument)) ORDER BY 1;
CREATE TEMP TABLE bad (type regtype, value text);
INSERT INTO bad SELECT 'text', v FROM unnest(ARRAY['NULL', $v$''$v$, $v$' '$v$, $v$'nope'$v$, $v$'''; drop table x; --'$v$, $v$'$$ {{'$v$, $v$E'\u200b\u202e'$v$,
  $v$E'a\r\nInjected: yes'$v$, $v$repeat('x', 2000000)$v$]) v;
INSERT INTO bad SELECT t, v FROM unnest('{json,jsonb}'::regtype[]) t, unnest(ARRAY['NULL', $v$'[]'$v$, $v$'5'$v$, $v$'null'$v$, $v$'{"nope": 1}'$v$, $v$'{"a": 1e400}'$v$,
  $v$'{"client_id": "1/0"}'$v$, $v$format('{"a": "%s"}', repeat('x', 2000000))$v$, $v$repeat('[', 3000) || repeat(']', 3000)$v$]) v;
INSERT INTO bad SELECT 'json', v FROM unnest(ARRAY[$v$'{"a": "\u0000"}'$v$, $v$'{"a": 1, "a": 2}'$v$]) v;
INSERT INTO bad SELECT 'bigint', v FROM unnest('{NULL,0,-1,9223372036854775807,-9223372036854775808}'::text[]) v;
INSERT INTO bad SELECT 'bigint[]', v FROM unnest(ARRAY['NULL', $v$'{}'$v$, $v$'{NULL}'$v$, $v$'{{1,2},{3,4}}'$v$, 'array_fill(1::bigint, ARRAY[100000])']) v;
INSERT INTO bad SELECT 'integer', v FROM unnest('{NULL,0,-1,2147483647,-2147483648}'::text[]) v;
INSERT INTO bad SELECT 'numeric', v FROM unnest(ARRAY['NULL', $v$'NaN'$v$, $v$'Infinity'$v$, '-5.5', '1e1000']) v;
INSERT INTO bad SELECT 'date', v FROM unnest(ARRAY['NULL', $v$'infinity'$v$, $v$'-infinity'$v$, $v$'5874897-12-31'$v$, $v$'4713-01-01 BC'$v$]) v;
INSERT INTO bad SELECT 'timestamptz', v FROM unnest(ARRAY['NULL', $v$'infinity'$v$, $v$'-infinity'$v$, $v$'294276-12-31'$v$, $v$'4713-01-02 BC'$v$]) v;
INSERT INTO bad SELECT 'time', v FROM unnest(ARRAY['NULL', $v$'24:00'$v$, $v$'00:00'$v$]) v;
INSERT INTO bad SELECT 'interval', v FROM unnest(ARRAY['NULL', $v$'-1 day'$v$, $v$'100000000 years'$v$, $v$'0'$v$]) v;
INSERT INTO bad SELECT 'boolean', 'NULL';
INSERT INTO bad SELECT 'text[]', v FROM unnest(ARRAY['NULL', $v$'{}'$v$, $v$'{NULL}'$v$, $v$'{{a,b},{c,d}}'$v$, $v$'{""}'$v$, 'array_fill(''x''::text, ARRAY[100000])']) v;
INSERT INTO bad SELECT 'integer[]', v FROM unnest(ARRAY['NULL', $v$'{}'$v$, $v$'{0,9}'$v$, $v$'{NULL}'$v$, $v$'{{1,2},{3,4}}'$v$, 'array_fill(1, ARRAY[100000])']) v;
INSERT INTO bad SELECT 'regclass', v FROM unnest(ARRAY['NULL', '999999', $v$'pg_class'$v$, $v$'mfiauto.journal_1'$v$, $v$'bank.s'$v$]) v;
INSERT INTO bad SELECT 'regrole', v FROM unnest(ARRAY['NULL', '999999']) v;
INSERT INTO bad SELECT 'bytea', v FROM unnest(ARRAY['NULL', $v$''$v$, $v$'\x00ff'$v$, $v$convert_to(repeat('Content-Type: multipart/mixed; boundary=a' || E'\n\n--a\n', 9999), 'UTF8')$v$]) v;
CREATE TEMP TABLE refusal AS
  SELECT f.name, f.arguments[b.n] AS argument, b.value, a.*
    FROM function f
    CROSS JOIN LATERAL (SELECT t.n, b.value, t.type FROM unnest(f.types) WITH ORDINALITY AS t(type, n) JOIN bad b ON b.type = t.type) b
    CROSS JOIN LATERAL (SELECT string_agg(format('%I => %s', g.argument, CASE WHEN g.argument = f.arguments[b.n] THEN format('(%s)::%s', b.value, b.type::regtype) ELSE g.value END), ', ') AS list
                          FROM good g WHERE g.function = f.name) l
    CROSS JOIN LATERAL answer(format('%s(%s)', f.name, l.list)) a
   WHERE l.list IS NOT NULL;
SELECT count(*) > 1000 AS "more than a thousand calls", count(state) > 600 AS refused FROM refusal;
-- SQLSTATEs that do not fit, messages that are not written as messages are.
SELECT name, argument, left(value, 40) AS value, state, left(message, 80) AS message FROM refusal
 WHERE state NOT IN ('22023', '22004', '22008', '22P02', '22P05', '42601', '42703', '42704', '42710', '42804', '42809', '42501', '54000', '55000')
    OR message ~ '^[A-Z]' AND message !~ '^(NULL|[a-z]*[A-Z])' OR message ~ '\.$' ORDER BY 1, 2, 3;
-- Refusals that name no remedy: what is missing, or too long, speaks for itself.
SELECT name, argument, state, string_agg(DISTINCT left(message, 70), ' / ') AS message FROM refusal
 WHERE hint = '' AND detail = '' AND state NOT IN ('22004', '54000') AND value ~ '^(NULL|''.{0,8}''|-?[0-9]{1,3})$' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- Read as a user would.
\pset tuples_only on
\pset format unaligned
\pset fieldsep '\n  '
SELECT a.state || ' ' || a.message, nullif(a.detail, ''), nullif(a.hint, '') FROM answer($c$bind('payment', 999999, '{}')$c$) a;
SELECT a.state || ' ' || a.message, nullif(a.detail, ''), nullif(a.hint, '') FROM answer($c$bind('payment', 'mfiauto.event_log', '{"payment_id": "event_id", "client_id": "client_id", "paid_at": "occurred_at", "amount": "1"}')$c$) a;
SELECT a.state || ' ' || a.message, nullif(a.detail, ''), nullif(a.hint, '') FROM answer($c$bind('payment', 'bank.payment', '{"payment_id": "id", "loan_id": "loan_id", "paid_at": "at", "amount": "amount"}', sources => '{"bank.payment; drop table x": "id"}')$c$) a;
SELECT a.state || ' ' || a.message, nullif(a.detail, ''), nullif(a.hint, '') FROM answer($c$watch('E', 'mfiauto.event_log', 'INSERT', client => 'client_id')$c$) a;
SELECT a.state || ' ' || a.message, nullif(a.detail, ''), nullif(a.hint, '') FROM answer($c$release_delivery(workflow => 'nope')$c$) a;
SELECT a.state || ' ' || a.message, nullif(a.detail, ''), nullif(a.hint, '') FROM answer($c$hold_delivery('x', workflow => 'nope')$c$) a;
SELECT a.state || ' ' || a.message, nullif(a.detail, ''), nullif(a.hint, '') FROM answer($c$hold_delivery(repeat('x', 1001))$c$) a;
SELECT a.state || ' ' || a.message, nullif(a.detail, ''), nullif(a.hint, '') FROM answer($c$set_policy(min_gap => '400 days')$c$) a;
SELECT a.state || ' ' || a.message, nullif(a.detail, ''), nullif(a.hint, '') FROM answer($c$set_policy(min_gap => '-1 day')$c$) a;
SELECT a.state || ' ' || a.message, nullif(a.detail, ''), nullif(a.hint, '') FROM answer($c$set_policy(weekdays => '{{1,2},{3,4}}')$c$) a;
SELECT a.state || ' ' || a.message, nullif(a.detail, ''), nullif(a.hint, '') FROM answer($c$refresh_kpis('-infinity')$c$) a;
SELECT a.state || ' ' || a.message, nullif(a.detail, ''), nullif(a.hint, '') FROM answer($c$set_secret('g', 'token', '')$c$) a;
SELECT a.state || ' ' || a.message, nullif(a.detail, ''), nullif(a.hint, '') FROM answer($c$opt_in(1, 'sms', 'marketing', repeat('x', 1001))$c$) a;
SELECT a.state || ' ' || a.message, nullif(a.detail, ''), nullif(a.hint, '') FROM answer($c$suppress_address('sms', '+221770000001', repeat('x', 1001))$c$) a;
SELECT a.state || ' ' || a.message, nullif(a.detail, ''), nullif(a.hint, '') FROM answer($c$alter_template('nope', body => 'x')$c$) a;
SELECT a.state || ' ' || a.message, nullif(a.detail, ''), nullif(a.hint, '') FROM answer($c$retry_message(1)$c$) a;
SELECT a.state || ' ' || a.message, nullif(a.detail, ''), nullif(a.hint, '') FROM answer($c$drop_secret('g', 'token')$c$) a;
SELECT a.state || ' ' || a.message, nullif(a.detail, ''), nullif(a.hint, '') FROM answer($c$create_workflow('w', '{"class": "a\u0000b"}')$c$) a;

-- In a transaction that only reads, what writes is refused and what looks is not.
BEGIN READ ONLY;
SELECT string_agg(c.name, ' ' ORDER BY c.name) FROM null_call c, answer(c.call) a WHERE a.state IS NULL AND c.name IN ('now', 'today', 'render', 'read_status', 'normalize_phone', 'track', 'run_engine', 'ensure_partitions');
SELECT a.state || ' ' || a.message FROM answer($c$track('Hello', 1)$c$) a;
SELECT a.state || ' ' || a.message FROM answer($c$create_template('t', 'x')$c$) a;
ROLLBACK;
-- After DROP EXTENSION there is nothing to call, and the books are there.
SELECT mfiauto.unbind(r) FROM unnest('{installment,loan,client}'::text[]) r;
DROP EXTENSION mfiauto;
SELECT mfiauto.track('Hello', 1);
SELECT count(*) FROM mfiauto.workflow_head;
DROP ROLE regress_bad_input;
