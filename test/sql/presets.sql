-- Every preset keeps its contract: what it sends, compared as data, and what it makes of the provider's answers and webhooks.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION mfiauto;
\set ECHO none
\i test/lib/contracts.sql
\set ECHO all
SELECT mfiauto.install();
SELECT mfiauto.set_clock('2026-01-05 09:00+00');

-- A preset without a contract is not known to work; a contract without a preset is of no use.
SELECT p.preset FROM mfiauto.gateway_preset p WHERE NOT p.definition ?| '{sandbox,sql}' AND NOT EXISTS (SELECT FROM contract c WHERE c.preset = p.preset) ORDER BY p.preset;
SELECT c.preset FROM contract c WHERE NOT EXISTS (SELECT FROM mfiauto.gateway_preset p WHERE p.preset = c.preset) ORDER BY c.preset;
SELECT count(*) >= 3 AS some FROM contract;

-- Where presets differ from what their contracts say.
SELECT c.preset, f.* FROM contract c JOIN mfiauto.gateway_preset p ON p.preset = c.preset, contract_faults(c.content, p.definition) f ORDER BY 1, 2, 3;

-- The comparison itself: contracts that are broken on purpose, one place each.
CREATE TEMP VIEW broken AS
  SELECT b.name, f.*
    FROM contract c JOIN mfiauto.gateway_preset p ON p.preset = c.preset,
         LATERAL (VALUES ('method', jsonb_set(c.content, '{cases,0,request,method}', '"PUT"')),
                         ('host', jsonb_set(c.content, '{cases,0,request,url}', '"https://elsewhere.example/"')),
                         ('field', jsonb_set(c.content, '{cases,0,request,body,Body}', '"Bonjou"')),
                         ('header', jsonb_set(c.content, '{cases,0,request,headers,X-More}', '"1"')),
                         ('secret', jsonb_set(c.content, '{secrets,auth_token}', '"other"')),
                         ('status', jsonb_set(c.content, '{receipts,0,expect,0,state}', '"sent"')), ('missing', jsonb_set(c.content, '{receipts,0,expect}', '[]')),
                         ('text', jsonb_set(c.content, '{inbound,0,expect,0,body}', '"STAP"')), ('unread', c.content - 'inbound'), ('signature', jsonb_set(c.content, '{receipts,0,body,To}', '"+221770000002"')),
                         ('no source', c.content - 'source'), ('typo', c.content || '{"answer": []}'),
                         ('verdict', jsonb_set(c.content, '{answers,0,verdict}', '"permanent"')),
                         ('id', jsonb_set(c.content, '{answers,0,provider_id}', '"SM0"')),
                         ('message', jsonb_set(c.content, '{cases,0,message,texte}', '"x"'))) b(name, content),
         contract_faults(b.content, p.definition) f
   WHERE c.preset = 'twilio';
SELECT name, place, what FROM broken WHERE what NOT LIKE 'no answer%' ORDER BY 1, 2, 3;
-- What only some of their servers ask for is not sent empty where it is not set.
SELECT c.preset, r.headers ->> 'Authorization' AS authorization
  FROM contract c JOIN mfiauto.gateway_preset p ON p.preset = c.preset, (VALUES ('{}'::jsonb), ('{"token": "tk_1", "authorization": "tk_1"}')) s(secrets),
       mfiauto._request_of(c.content ->> 'channel', p.definition::json, (c.content -> 'settings')::json, s.secrets, c.content #> '{cases,0,message}') r
 WHERE c.preset IN ('ntfy', 'webhook') ORDER BY 1, 2;
