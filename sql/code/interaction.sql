-- What people do with messages: one place writes it down, and tells the engine.

-- The event that a kind of interaction is to workflows.
CREATE FUNCTION mfiauto._interaction_event(kind text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE kind WHEN 'opened' THEN 'Email Opened' WHEN 'clicked' THEN 'Link Clicked' WHEN 'read' THEN 'Message Read' WHEN 'answered' THEN 'Call Answered'
                   WHEN 'heard' THEN 'Call Heard' WHEN 'pressed' THEN 'Digits Pressed' WHEN 'replied' THEN 'Message Replied'
                   WHEN 'unsubscribed' THEN 'Unsubscribed' WHEN 'complained' THEN 'Complaint Received' END
$$;

-- Notes what a client did with a message; false if a message of that number is not his, or he was erased. A machine's doing is kept and told to nobody.
CREATE FUNCTION mfiauto._note_interaction(client_id bigint, message_id bigint, kind text, detail jsonb DEFAULT NULL, is_bot boolean DEFAULT false,
  at timestamptz DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  message record;
BEGIN
  SELECT m.channel, m.subject, m.subject_id, m.options, h.name AS workflow INTO message
    FROM mfiauto.message_ledger m LEFT JOIN mfiauto.workflow_head h ON h.workflow_id = m.workflow_id
   WHERE m.message_id = _note_interaction.message_id AND m.client_id = _note_interaction.client_id;
  IF NOT FOUND OR EXISTS (SELECT FROM mfiauto.erased_client x WHERE x.client_id = _note_interaction.client_id) THEN
    RETURN false;
  END IF;
  INSERT INTO mfiauto.interaction_log (client_id, message_id, kind, is_bot, detail, at, received_at)
  VALUES (_note_interaction.client_id, _note_interaction.message_id, _note_interaction.kind, _note_interaction.is_bot, _note_interaction.detail,
          coalesce(_note_interaction.at, mfiauto.now()), mfiauto.now());
  IF NOT _note_interaction.is_bot THEN
    PERFORM mfiauto._track(mfiauto._interaction_event(_note_interaction.kind), _note_interaction.client_id,
      jsonb_strip_nulls(jsonb_build_object('message_id', _note_interaction.message_id, 'workflow', message.workflow, 'channel', message.channel))
        || coalesce(_note_interaction.detail, '{}'),
      _note_interaction.at, CASE WHEN message.subject <> 'client' THEN message.subject END, CASE WHEN message.subject <> 'client' THEN message.subject_id END);
  END IF;
  -- What the digits mean the template says.
  IF kind = 'pressed' AND NOT is_bot AND message.options -> 'digits' ? (detail ->> 'digits') THEN
    PERFORM mfiauto._track(message.options -> 'digits' ->> (_note_interaction.detail ->> 'digits'), _note_interaction.client_id,
      jsonb_strip_nulls(jsonb_build_object('message_id', _note_interaction.message_id, 'workflow', message.workflow, 'channel', message.channel, 'digits', _note_interaction.detail ->> 'digits')),
      _note_interaction.at, CASE WHEN message.subject <> 'client' THEN message.subject END, CASE WHEN message.subject <> 'client' THEN message.subject_id END);
  END IF;
  RETURN true;
END $$;
