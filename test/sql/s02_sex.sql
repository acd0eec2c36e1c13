-- S2 Sex: the guard view lists every segment and workflow that uses it, by whatever way.
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
CREATE SCHEMA bank;
SELECT mfiauto.set_clock('2026-01-05 08:00+00');
\i test/lib/segment_books.sql
SELECT mfiauto.create_template('hello', channel => 'sms', body => 'Bonjour');
SELECT mfiauto.create_trait('soft_score', 'SELECT c.client_id, CASE WHEN c.gender = ''f'' THEN 2 ELSE 1 END AS value FROM mfiauto.client c');
RESET client_min_messages;
SELECT mfiauto.create_segment('women', 'SELECT client_id FROM mfiauto.client WHERE gender = ''f''');
SELECT mfiauto.create_segment('women_by_profile', 'SELECT client_id FROM mfiauto.client_profile p WHERE p.gender = ''f'' AND loans_active > 0');
SELECT mfiauto.create_segment('women_by_host', 'SELECT id AS client_id FROM bank.client WHERE sex = ''f''');
SELECT mfiauto.create_segment('not_women', 'SELECT client_id FROM mfiauto.client EXCEPT SELECT client_id FROM mfiauto_segment.women');
SELECT mfiauto.create_segment('deeper', 'SELECT client_id FROM mfiauto_segment.not_women');
SELECT mfiauto.create_segment('by_trait', 'SELECT client_id FROM mfiauto.client_profile WHERE (traits ->> ''soft_score'')::integer > 1');
SELECT mfiauto.create_segment('inner_query', 'SELECT client_id FROM mfiauto.loan l WHERE EXISTS (SELECT FROM (SELECT client_id AS id, gender AS g FROM mfiauto.client) c WHERE c.id = l.client_id AND c.g = ''m'')');
-- These do not.
SELECT mfiauto.create_segment('readers', 'SELECT client_id FROM mfiauto.client WHERE literacy = ''high''');
SELECT mfiauto.create_segment('host_readers', 'SELECT id AS client_id FROM bank.client WHERE literacy = ''high''');
SELECT mfiauto.create_segment('a_list', clients => '{1}');
SELECT attribute, kind, name, how FROM mfiauto.fair_treatment ORDER BY 1, 2, 3;

-- Workflows: by their segments and their conditions; drafts, too.
SELECT mfiauto.create_workflow('for_women', '{"trigger": {"segment": "women", "on": "enter"}, "steps": [{"send": "hello"}]}') AS version;
SELECT mfiauto.create_workflow('by_condition', '{"trigger": {"event": "X"}, "enter_if": "client.gender = ''m''", "steps": [{"send": "hello"}]}') AS version;
SELECT mfiauto.create_workflow('neutral', '{"trigger": {"event": "X"}, "enter_if": "client.literacy = ''high''", "steps": [{"send": "hello"}]}') AS version;
SELECT attribute, name, how, reason FROM mfiauto.fair_treatment WHERE kind = 'workflow' ORDER BY 1, 2;

-- Others can be added: a column, a trait.
SELECT mfiauto.protect_attribute('traits.religion', 'The law.');
SELECT mfiauto.protect_attribute('literacy');
SELECT mfiauto.create_segment('believers', 'SELECT client_id FROM mfiauto.client WHERE traits ->> ''religion'' = ''x''');
SELECT mfiauto.create_segment('other_trait', 'SELECT client_id FROM mfiauto.client WHERE traits ->> ''plan'' = ''x''');
SELECT mfiauto.create_segment('any_trait', 'SELECT client_id FROM mfiauto.client WHERE traits @> ''{"religion": "x"}''');
SELECT attribute, kind, name, how, reason FROM mfiauto.fair_treatment WHERE attribute <> 'gender' ORDER BY 1, 2, 3;
SELECT mfiauto.unprotect_attribute('literacy');
SELECT DISTINCT attribute FROM mfiauto.fair_treatment ORDER BY 1;
SELECT mfiauto.unbind(r) FROM unnest('{installment,loan,client}'::text[]) r;
