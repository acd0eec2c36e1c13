-- C10: one report row a template text: length, parts and price with usual and long values, reading ease, one call to action, forbidden words; beyond a limit that blocks, no workflow goes live.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
SELECT mfiauto.install();
SELECT mfiauto.set_institution(name => 'Caisse du Fleuve', country => 'SN', time_zone => 'Africa/Dakar', locale => 'fr', currency => 'XOF', public_url => 'https://m.mfi.example');
\set ECHO none
\i test/lib/workflow_books.sql
\set ECHO all
SELECT mfiauto.drop_template(t) FROM unnest('{late,reminder_before,reminder_today,reminder_late,reminder_late_voice}'::text[]) t;
SELECT mfiauto.create_gateway('box', 'sms', 'sandbox', settings => '{"cost_per_part": 15, "currency": "XOF"}');
SELECT mfiauto.allow_link_host('pay.mfi.example'), mfiauto.create_link('pay', 'https://pay.mfi.example/{{loan.loan_id}}');

-- Reading ease against what is reckoned by hand: Flesch 206.835 - 1.015 words a sentence - 84.6 syllables a word; Kandel and Moles 207 - 1.015 - 73.6.
SELECT body, language, ease, mfiauto._reading_ease(body, language) AS computed, ease = mfiauto._reading_ease(body, language) AS agrees FROM (VALUES
  ('The cat sat on the mat.', 'en', round(206.835 - 1.015 * 6 - 84.6 * 6 / 6.0, 1)),
  ('Please pay your loan. Call *144# today.', 'en', round(206.835 - 1.015 * 6 / 2.0 - 84.6 * 7 / 6.0, 1)),
  ('Le chat dort.', 'fr', round(207 - 1.015 * 3 - 73.6 * 3 / 3.0, 1)),
  ('Votre échéance arrive. Payez à l''agence !', 'fr', round(207 - 1.015 * 6 / 2.0 - 73.6 * 11 / 6.0, 1)),
  ('See https://m.mfi.example/l/abc.def now', 'en', round(206.835 - 1.015 * 2 - 84.6 * 2 / 2.0, 1)),
  ('Lipa leo.', 'sw', NULL), ('123', 'en', NULL)) AS t(body, language, ease);
SELECT string_agg(w || ' ' || mfiauto._lint_syllables(w, l), ', ' ORDER BY n) FROM (VALUES (1, 'en', 'make'), (2, 'en', 'table'), (3, 'en', 'loaned'), (4, 'en', 'started'), (5, 'en', 'the'), (6, 'fr', 'agence'), (7, 'fr', 'dettes'), (8, 'fr', 'été'), (9, 'fr', 'le'), (10, 'fr', 'œuvre')) t(n, l, w);
SELECT body, language, mfiauto._count_actions(body, language) AS actions FROM (VALUES
  ('Payez au *144# ou sur https://pay.mfi.example. Merci.', 'fr'), ('Payez aujourd''hui. Appelez votre agent.', 'fr'), ('Merci de votre confiance.', 'fr'), ('Pay today. Reply STOP to hear no more.', 'en'),
  ('More: https://mfi.example STOP to hear no more', 'en'), ('The company is here.', 'en'), ('Lipa leo!', 'sw'), ('ادفع اليوم. شكرا.', 'ar'), ('RÉGLEZ vite', 'fr')) t(body, language);

-- A reminder as it should be; the same with long values costs more.
SELECT mfiauto.create_template('good', class => 'collection', locale => 'fr', body => 'Bonjour {{client.name}}, votre échéance de {{installment.balance_text}} est le {{installment.due_date_text}}. Payez au *144# ou en agence. Merci de votre confiance, {{institution.name}}');
SELECT * FROM mfiauto.template_lint WHERE name = 'good' \gx
-- What was promised of the long values: no client's message of these is longer.
SELECT length(mfiauto._lint_text('sms', 'gsm7-transliterate', mfiauto.render(t.body, mfiauto._lint_context(ARRAY[t.body], 'fr', true), NULL, 'none'))) AS longest,
       length(mfiauto.render(t.body, mfiauto._lint_context(ARRAY[t.body], 'fr', true), NULL, 'none')) >= length(p.body) AS is_longer, p.problems FROM mfiauto.template t, mfiauto.preview_template('good', 1, 101) p WHERE t.name = 'good';

-- Everything that can be wrong, each with a text beside it that is right.
CREATE FUNCTION found(body text, class text DEFAULT 'collection', locale text DEFAULT 'fr', channel text DEFAULT 'sms', subject text DEFAULT NULL, alphabet text DEFAULT 'gsm7-transliterate') RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  answer text[];
BEGIN
  PERFORM mfiauto.create_template('tried', body, channel, locale, class, subject => subject, alphabet => alphabet);
  answer := (SELECT l.findings FROM mfiauto.lint_template('tried') l);
  PERFORM mfiauto.drop_template('tried');
  RETURN answer;
END $$;
SELECT found('Payez au *144#. Merci.');
SELECT found('Payez au *144#. ' || repeat('Merci. ', 100)) AS parts;
SELECT found('Payez {{client.name}} ' || repeat('🙂', 60) || '.', alphabet => 'ucs2') AS alphabet;
SELECT found('Payez votre prêt.') AS transliterated, found('Payez votre prêt.', alphabet => 'ucs2') AS as_written;
SELECT found('Conformément aux dispositions contractuelles antérieurement communiquées, régularisez immédiatement votre situation financière particulière. Payez.') AS reading_ease;
SELECT found('Payez au *144# ou au *155# ou bien encore par l''agent de la caisse qui passe tous les jours dans le village où vous avez votre étal de fruits.') AS sentence_length;
SELECT found('Merci de votre confiance.') AS no_action, found('Merci de votre confiance.', class => 'transactional') AS may_ask_nothing, found('Payez vite. Appelez-nous.') AS two_actions;
SELECT found('Payez ou nous enverrons l''HUISSIER.') AS threat, found('Payez, ou vos voisins sauront.') AS shame, found('Passez en agence : crédit garanti. STOP pour ne plus recevoir.', class => 'marketing') AS promise,
       found('Le tribunal a été saisi. Passez en agence.', class => 'legal') AS legal, found('Payez. Les huissiers', locale => 'fr') AS other_word;
SELECT found('Pay or we will call the POLICE.', locale => 'en') AS en, found('Lipa au utapelekwa jela.', locale => 'sw') AS sw, found('Pague ou chamamos a polícia.', locale => 'pt') AS pt, found('Pague o llamamos a la policía.', locale => 'es') AS es,
       found('ادفع والا السجن', locale => 'ar', alphabet => 'ucs2') AS ar;
SELECT found('Payez : vous avez du retard.') AS on_sms, found('Payez : vous avez du retard.', channel => 'email', subject => 'Rappel') AS on_email;
SELECT found('PAYEZ MAINTENANT au guichet.') AS capitals, found('Payez ! ! Merci.') AS marks, found('Payez 12 500 FCFA par WAVE. Merci !') AS calm, found('Payez.', channel => 'email', subject => 'DERNIER RAPPEL') AS in_subject;
SELECT found('Payez : {{links.pay}}') AS link, found('Payez : https://pay.mfi.example/x') AS written_out, found('Payez. {{links.unsubscribe}}') AS unsubscribe, found('Payez : {{links.pay}}', class => 'transactional') AS other_class;
SELECT found('Passez nous voir.', class => 'marketing') AS nothing_said, found('Passez nous voir. STOP au 36001.', class => 'marketing') AS stop, found('Passez nous voir. {{links.unsubscribe}}', class => 'education') AS page;
-- However long the text, and however long its sentences.
SELECT found(repeat('Bonjour à tous et merci. ', 900) || 'Ou la police.', channel => 'email', subject => 'x', class => 'transactional') AS far, found(repeat('merci ', 1500) || 'police', channel => 'email', subject => 'x', class => 'transactional') AS in_one_sentence;
-- Included texts count.
SELECT mfiauto.create_template('threat', locale => 'fr', body => 'Sinon : prison.');
SELECT found('Payez. {{> threat}}') AS included;

-- Blocked: at activation, and when a paused workflow is to go on; not while it only warns.
SELECT mfiauto.create_template('bad', class => 'collection', body => 'Payez, ou ce sera le tribunal. ' || repeat('Payez. ', 90));
SELECT mfiauto.create_workflow('w', '{"for_each": "installment", "anchor": "due_date", "class": "collection", "steps": [{"at": "-3 days 09:00", "send": "bad"}]}');
SELECT mfiauto.activate_workflow('w');
SELECT state FROM mfiauto.workflow WHERE name = 'w';
SELECT mfiauto.set_lint_limit('parts', limit_value => 5);
SELECT mfiauto.activate_workflow('w');
SELECT mfiauto.drop_lint_word('fr', 'forbidden', 'Tribunal');
SELECT mfiauto.activate_workflow('w');
SELECT mfiauto.pause_workflow('w');
SELECT mfiauto.set_lint_limit('price', 'block', 50);
SELECT mfiauto.resume_workflow('w');
SELECT mfiauto.set_lint_limit('price', 'warn');
SELECT mfiauto.resume_workflow('w');
SELECT name, is_blocked, findings FROM mfiauto.template_lint WHERE name = 'bad';
SELECT mfiauto.set_lint_limit('one_action', 'off'), mfiauto.add_lint_word('*', 'forbidden', 'Médiocre', 'of the test');
SELECT found('Merci. C''est MEDIOCRE !') AS for_all_languages;
-- A text goes live by being written: that of a live workflow, or one that it includes, may not become worse than that.
SELECT mfiauto.create_template('foot', body => 'Merci.'), mfiauto.create_template('bad', class => 'collection', body => 'Payez. {{> foot}}');
SELECT mfiauto.create_template('bad', class => 'collection', body => 'Payez, ou la police viendra.');
SELECT mfiauto.create_template('foot', body => 'Ou la police viendra.');
SELECT mfiauto.alter_template('foot', body => 'Merci bien.'), mfiauto.create_template('unused', body => 'Ou la police viendra.');
SELECT body FROM mfiauto.template WHERE name IN ('bad', 'foot') ORDER BY name;
SELECT found('Payez : {{links.pay}}', class => 'transactional', channel => 'voice') AS read_out;
-- Refused.
SELECT mfiauto.set_lint_limit('nope', 'warn');
SELECT mfiauto.set_lint_limit('parts', 'maybe');
SELECT mfiauto.add_lint_word('french', 'forbidden', 'x', 'y');
SELECT mfiauto.lint_template('nope');
-- A row for each live text: as many as there are, of every channel and locale.
SELECT mfiauto.create_template('row', channel => c, locale => l, class => 'transactional', subject => CASE c WHEN 'email' THEN 's' END, body => 'Merci.') FROM (VALUES ('sms', 'fr'), ('sms', 'en'), ('email', 'fr'), ('voice', '*')) AS v(c, l);
SELECT channel, locale, parts, findings FROM mfiauto.template_lint WHERE name = 'row' ORDER BY 1, 2;
SELECT (SELECT count(*) FROM mfiauto.template_lint) = (SELECT count(*) FROM mfiauto.template) AS one_each, count(*) AS twice FROM (SELECT 1 FROM mfiauto.template_lint GROUP BY name, channel, locale HAVING count(*) > 1) x;
