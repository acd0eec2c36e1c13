-- Unsubscribing: a page in the client's language that only shows itself when it is looked at, and a button, or the mail program's, that does it.

-- What the pages say. The version goes into the record of what was agreed to: raise it with every change of a text.
CREATE FUNCTION mfiauto._page_text_version() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'unsubscribe page 1'::text $$;

-- A language's texts; null for one that is not spoken here. {{institution}}, {{what}} and {{way}} are filled in.
CREATE FUNCTION mfiauto._page_text(language text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE language
    WHEN 'fr' THEN '{"title": "Messages que vous recevez", "ask": "Que voulez-vous ne plus recevoir de {{institution}} ?", "class": "Plus {{what}} {{way}}", "channel": "Plus aucun de ces messages {{way}}", "all": "Plus aucun de ces messages, par aucun moyen",
      "kept": "Les messages sur votre sécurité et vos contrats continuent.", "done": "C''est noté : vous ne les recevrez plus.", "undo": "Annuler : je veux encore les recevoir", "undone": "C''est annulé : rien n''a changé.", "gone_title": "Ce lien n''est plus valable", "gone": "Demandez à votre agence.",
      "marketing": "d''offres", "education": "de conseils", "collection": "de rappels de paiement", "sms": "par SMS", "email": "par e-mail", "voice": "par appel", "push": "sur l''application", "inapp": "dans l''application", "other": "par ce moyen"}'
    WHEN 'en' THEN '{"title": "Messages you receive", "ask": "What should {{institution}} no longer send you?", "class": "No more {{what}} {{way}}", "channel": "None of these messages {{way}}", "all": "None of these messages, by any means",
      "kept": "Messages about your security and your contracts continue.", "done": "Done: you will not receive them any more.", "undo": "Undo: I still want to receive them", "undone": "Undone: nothing has changed.", "gone_title": "This link no longer works", "gone": "Please ask your branch.",
      "marketing": "offers", "education": "advice", "collection": "payment reminders", "sms": "by SMS", "email": "by e-mail", "voice": "by phone call", "push": "on the app", "inapp": "in the app", "other": "this way"}'
    WHEN 'pt' THEN '{"title": "Mensagens que recebe", "ask": "O que já não deseja receber de {{institution}}?", "class": "Não receber mais {{what}} {{way}}", "channel": "Não receber nenhuma destas mensagens {{way}}", "all": "Não receber nenhuma destas mensagens por qualquer meio",
      "kept": "As mensagens sobre a sua segurança e os seus contratos continuam.", "done": "Está feito: não as receberá mais.", "undo": "Anular: ainda as quero receber", "undone": "Anulado: nada mudou.", "gone_title": "Esta ligação já não é válida", "gone": "Pergunte na sua agência.",
      "marketing": "ofertas", "education": "conselhos", "collection": "lembretes de pagamento", "sms": "por SMS", "email": "por e-mail", "voice": "por chamada", "push": "na aplicação", "inapp": "dentro da aplicação", "other": "por este meio"}'
    WHEN 'es' THEN '{"title": "Mensajes que recibe", "ask": "¿Qué ya no desea recibir de {{institution}}?", "class": "No recibir más {{what}} {{way}}", "channel": "No recibir ninguno de estos mensajes {{way}}", "all": "No recibir ninguno de estos mensajes por ningún medio",
      "kept": "Los mensajes sobre su seguridad y sus contratos continúan.", "done": "Listo: ya no los recibirá.", "undo": "Deshacer: todavía quiero recibirlos", "undone": "Deshecho: nada ha cambiado.", "gone_title": "Este enlace ya no es válido", "gone": "Pregunte en su agencia.",
      "marketing": "ofertas", "education": "consejos", "collection": "recordatorios de pago", "sms": "por SMS", "email": "por correo electrónico", "voice": "por llamada", "push": "en la aplicación", "inapp": "dentro de la aplicación", "other": "por este medio"}'
    WHEN 'ar' THEN '{"title": "الرسائل التي تصلك", "ask": "ما الذي لا تريد أن تتلقاه بعد الآن من {{institution}}؟", "class": "إيقاف {{what}} {{way}}", "channel": "إيقاف كل هذه الرسائل {{way}}", "all": "إيقاف كل هذه الرسائل بجميع الوسائل",
      "kept": "تستمر الرسائل المتعلقة بأمانك وعقودك.", "done": "تم: لن تتلقاها بعد الآن.", "undo": "تراجع: ما زلت أريد تلقيها", "undone": "تم التراجع: لم يتغير شيء.", "gone_title": "لم يعد هذا الرابط صالحا", "gone": "يرجى سؤال فرعك.",
      "marketing": "العروض", "education": "النصائح", "collection": "تذكيرات الدفع", "sms": "عبر الرسائل القصيرة", "email": "عبر البريد الإلكتروني", "voice": "عبر الهاتف", "push": "عبر التطبيق", "inapp": "داخل التطبيق", "other": "بهذه الوسيلة"}'
    WHEN 'sw' THEN '{"title": "Ujumbe unaopokea", "ask": "Ni ujumbe gani hutaki tena kupokea kutoka {{institution}}?", "class": "Sitaki tena {{what}} {{way}}", "channel": "Sitaki tena ujumbe huu wowote {{way}}", "all": "Sitaki tena ujumbe huu wowote kwa njia yoyote",
      "kept": "Ujumbe kuhusu usalama wako na mikataba yako utaendelea.", "done": "Tayari: hutaupokea tena.", "undo": "Tengua: bado nataka kuupokea", "undone": "Imetenguliwa: hakuna kilichobadilika.", "gone_title": "Kiungo hiki hakitumiki tena", "gone": "Tafadhali uliza tawi lako.",
      "marketing": "matangazo", "education": "ushauri", "collection": "vikumbusho vya malipo", "sms": "kwa SMS", "email": "kwa barua pepe", "voice": "kwa simu", "push": "kwenye programu", "inapp": "ndani ya programu", "other": "kwa njia hii"}'
  END::jsonb
$$;

-- What a choice of the page means for a message: the channel and the class of the opt-out, nulls for all; no row for a choice that is none.
CREATE FUNCTION mfiauto._opt_out_scope(choice text, channel text, class text) RETURNS TABLE (channel text, purpose text)
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN choice <> 'all' THEN $2 END, CASE WHEN choice = 'class' AND c.honors_opt_out THEN $3 END
    FROM mfiauto.message_class c WHERE c.class = $3 AND choice IN ('class', 'channel', 'all')
$$;

-- What stands after the client did something, or to choose from.
CREATE FUNCTION mfiauto._unsubscribe_page(language text, channel text, class text, state text) RETURNS mfiauto._response
LANGUAGE sql STABLE AS $$
  SELECT mfiauto._page(200, language, p.text ->> 'title',
           mfiauto.render(CASE state
             WHEN 'ask' THEN '<p>{{ask}}</p><form method="post">{{#is_known}}<button name="choice" value="class">{{class}}</button>{{/is_known}}'
               '<button name="choice" value="channel">{{channel}}</button><button name="choice" value="all">{{all}}</button></form><p>{{kept}}</p>'
             WHEN 'done' THEN '<p>{{done}}</p><form method="post"><button name="undo" value="1">{{undo}}</button></form>'
             ELSE '<p>{{undone}}</p>' END,
             w.words || jsonb_build_object('is_known', p.text ? class)))
    FROM mfiauto.institution i
    CROSS JOIN LATERAL (SELECT mfiauto._page_text(language) AS text) p
    CROSS JOIN LATERAL (SELECT jsonb_build_object('institution', i.name, 'what', p.text ->> class, 'way', coalesce(p.text ->> channel, p.text ->> 'other')) AS values) v
    CROSS JOIN LATERAL (SELECT jsonb_object_agg(t.key, mfiauto.render(t.value, v.values, NULL, 'none')) AS words FROM jsonb_each_text(p.text) t) w
$$;

-- The network that a request came from: enough to prove, too little to find somebody.
CREATE FUNCTION mfiauto._coarse_network(remote inet) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT network(set_masklen(remote, least(masklen(remote), CASE family(remote) WHEN 4 THEN 24 ELSE 48 END)))::text $$;

CREATE FUNCTION mfiauto._web_proof(message_id bigint, language text, way text, remote inet) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT jsonb_strip_nulls(jsonb_build_object('message_id', message_id, 'way', way, 'language', language, 'network', mfiauto._coarse_network(remote)))
$$;

-- The newest thing that was asked for by a message's link, and whether it stands. Newer consent given elsewhere is not undone from here.
CREATE FUNCTION mfiauto._web_opt_out(client_id bigint, message_id bigint)
RETURNS TABLE (consent_id bigint, channel text, purpose text, granted boolean, given_at timestamptz)
LANGUAGE sql STABLE AS $$
  SELECT c.consent_id, c.channel, c.purpose, c.granted, c.given_at
    FROM mfiauto.consent c
   WHERE c.client_id = $1 AND c.source = 'unsubscribe link' AND c.proof ->> 'message_id' = $2::text
   ORDER BY c.given_at DESC, c.consent_id DESC LIMIT 1
$$;

-- Gives back what the opt-out took: of each channel and class that it meant, what held before; never more than that.
CREATE FUNCTION mfiauto._undo_opt_out(client_id bigint, message_id bigint, language text, remote inet) RETURNS boolean
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  last record;
BEGIN
  SELECT o.* INTO last FROM mfiauto._web_opt_out(_undo_opt_out.client_id, _undo_opt_out.message_id) o;
  IF last.granted IS DISTINCT FROM false OR last.given_at < mfiauto.now() - interval '1 day'
     OR EXISTS (SELECT FROM mfiauto.erased_client e WHERE e.client_id = _undo_opt_out.client_id) THEN
    RETURN false;
  END IF;
  -- What was confirmed before needs no confirming again.
  INSERT INTO mfiauto.consent (client_id, channel, purpose, granted, is_pending, source, text_version, proof, given_at, recorded_by)
  SELECT _undo_opt_out.client_id, h.channel, k.class, true, false, 'unsubscribe link', mfiauto._page_text_version(), mfiauto._web_proof(_undo_opt_out.message_id, language, 'undo', remote),
         mfiauto.now(), mfiauto._caller()
    FROM mfiauto._channel() h CROSS JOIN mfiauto.message_class k
    LEFT JOIN LATERAL (SELECT c.granted FROM mfiauto.consent c
                        WHERE c.client_id = _undo_opt_out.client_id AND (c.given_at, c.consent_id) < (last.given_at, last.consent_id) AND NOT c.is_pending
                          AND (c.channel IS NULL OR c.channel = h.channel) AND (c.purpose IS NULL OR c.purpose = k.class)
                        ORDER BY c.given_at DESC, c.consent_id DESC LIMIT 1) b ON true
   WHERE k.honors_opt_out AND (last.channel IS NULL OR h.channel = last.channel) AND (last.purpose IS NULL OR k.class = last.purpose)
     AND coalesce(b.granted, NOT k.needs_consent)
     AND NOT EXISTS (SELECT FROM mfiauto.consent c
                      WHERE c.client_id = _undo_opt_out.client_id AND (c.given_at, c.consent_id) > (last.given_at, last.consent_id)
                        AND (c.channel IS NULL OR c.channel = h.channel) AND (c.purpose IS NULL OR c.purpose = k.class))
   ORDER BY h.channel, k.class;
  PERFORM mfiauto._journal_append(0, 'p', 0, _undo_opt_out.client_id);
  RETURN true;
END $$;

-- Records an opt-out, unless the message's link did the same before. One link cannot fill the record: after twenty entries in a day it does no more.
CREATE FUNCTION mfiauto._unsubscribe(client_id bigint, message_id bigint, channel text, class text, choice text, way text, language text, remote inet, at timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  scope record;
  last record;
BEGIN
  -- Nothing is sent to whom it was erased, nor written down of him.
  IF EXISTS (SELECT FROM mfiauto.erased_client e WHERE e.client_id = _unsubscribe.client_id) THEN
    RETURN true;
  END IF;
  SELECT s.* INTO scope FROM mfiauto._opt_out_scope(choice, _unsubscribe.channel, _unsubscribe.class) s;
  SELECT o.* INTO last FROM mfiauto._web_opt_out(_unsubscribe.client_id, _unsubscribe.message_id) o;
  IF last.granted = false AND last.channel IS NOT DISTINCT FROM scope.channel AND last.purpose IS NOT DISTINCT FROM scope.purpose
     AND NOT EXISTS (SELECT FROM mfiauto.consent c WHERE c.client_id = _unsubscribe.client_id AND c.granted
                        AND (c.given_at, c.consent_id) > (last.given_at, last.consent_id) AND c.given_at <= _unsubscribe.at) THEN
    RETURN true;
  END IF;
  IF (SELECT count(*) FROM mfiauto.consent c
       WHERE c.client_id = _unsubscribe.client_id AND c.source = 'unsubscribe link' AND c.granted = false AND c.given_at > mfiauto.now() - interval '1 day') >= 20 THEN
    RETURN false;
  END IF;
  -- As of when he said so: what he said elsewhere after that stands.
  INSERT INTO mfiauto.consent (client_id, channel, purpose, granted, is_pending, reason, source, text_version, proof, given_at, recorded_by)
  VALUES (_unsubscribe.client_id, scope.channel, scope.purpose, false, false, 'unsubscribed', 'unsubscribe link', mfiauto._page_text_version(),
          mfiauto._web_proof(_unsubscribe.message_id, language, way, remote), _unsubscribe.at, mfiauto._caller());
  PERFORM mfiauto._journal_append(0, 'p', 0, _unsubscribe.client_id);
  PERFORM mfiauto._note_interaction(_unsubscribe.client_id, _unsubscribe.message_id, 'unsubscribed', jsonb_build_object('scope', choice, 'way', way), at => _unsubscribe.at);
  RETURN true;
END $$;

-- What a form's body asks for: {"choice": …} or {"undo": …}; the mail program's one click (RFC 8058), as a form or in parts, is the message's class.
CREATE FUNCTION mfiauto._unsubscribe_wish(headers jsonb, body bytea) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
  content text;
BEGIN
  IF length(body) > 4096 THEN
    RETURN NULL;
  END IF;
  BEGIN
    content := convert_from(body, 'UTF8');
  EXCEPTION WHEN data_exception THEN
    RETURN NULL;
  END;
  IF mfiauto._header(headers, 'content-type') ~* '^multipart/form-data' THEN
    RETURN CASE WHEN content ~* 'name="?list-unsubscribe"?[^\r\n]*(\r?\n[^\r\n]+)*\r?\n\r?\none-click\r?\n' THEN '{"choice": "class", "way": "one click"}'::jsonb END;
  END IF;
  RETURN (SELECT CASE WHEN f.form ->> 'List-Unsubscribe' = 'One-Click' THEN '{"choice": "class", "way": "one click"}'::jsonb
                      WHEN f.form ->> 'choice' IN ('class', 'channel', 'all') THEN jsonb_build_object('choice', f.form ->> 'choice', 'way', 'page')
                      WHEN f.form ? 'undo' THEN '{"undo": true}'::jsonb END
            FROM (SELECT mfiauto._read_form(content) AS form) f);
END $$;

-- When a request came in: the front keeps those that change something on disk while the database is away, and says when each came.
CREATE FUNCTION mfiauto._requested_at(headers jsonb) RETURNS timestamptz
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN greatest(least(mfiauto._header(headers, 'mfiauto-received-at')::timestamptz, mfiauto.now()), mfiauto.now() - interval '7 days');
EXCEPTION WHEN data_exception THEN
  RETURN mfiauto.now();
END $$;

CREATE FUNCTION mfiauto._serve_unsubscribe(method text, token text, headers jsonb, body bytea, remote inet DEFAULT NULL) RETURNS mfiauto._response
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  message record;
  language text;
  wish jsonb;
BEGIN
  IF method NOT IN ('GET', 'HEAD', 'POST') THEN
    RETURN mfiauto._wrong_method('GET, HEAD, POST');
  END IF;
  SELECT t.* INTO message FROM mfiauto._token_message(token) t;
  IF message.target IS DISTINCT FROM 0 THEN
    RETURN mfiauto._not_found();
  END IF;
  language := mfiauto._client_language(message.client_id);
  -- Looking changes nothing: mail filters follow every link that they find.
  IF method <> 'POST' THEN
    RETURN mfiauto._unsubscribe_page(language, message.channel, message.class, 'ask');
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('mfiauto web ' || message.message_id, 0));
  wish := mfiauto._unsubscribe_wish(headers, body);
  IF wish ? 'undo' THEN
    RETURN mfiauto._unsubscribe_page(language, message.channel, message.class,
             CASE WHEN mfiauto._undo_opt_out(message.client_id, message.message_id, language, remote) THEN 'undone' ELSE 'ask' END);
  ELSIF wish ? 'choice' THEN
    IF mfiauto._unsubscribe(message.client_id, message.message_id, message.channel, message.class, wish ->> 'choice', wish ->> 'way', language, remote,
                            mfiauto._requested_at(headers)) THEN
      RETURN mfiauto._unsubscribe_page(language, message.channel, message.class, 'done');
    END IF;
    RETURN ROW(429, '{"retry-after": "86400", "cache-control": "no-store"}'::jsonb, ''::bytea)::mfiauto._response;
  END IF;
  RETURN ROW(400, '{"content-type": "text/plain; charset=utf-8", "cache-control": "no-store"}'::jsonb, convert_to(E'Bad request\n', 'UTF8'))::mfiauto._response;
END $$;
