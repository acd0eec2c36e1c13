-- More than 200 texts as clients write them: what each is to the router. null: a text like any other, for questions, workflows or a person.
-- Words with a typing error are no keywords: STPO, AR RET. Nor is a word inside a sentence.
CREATE TABLE public.inbound_text (n integer GENERATED ALWAYS AS IDENTITY, body text, locale text, action text);
INSERT INTO public.inbound_text (body, locale, action) VALUES
  -- The plain words.
  ('STOP', 'fr', 'stop'), ('stop', 'fr', 'stop'), ('Stop', 'en', 'stop'), ('sToP', 'wo', 'stop'), ('ARRET', 'fr', 'stop'), ('ARRÊT', 'fr', 'stop'), ('arrêt', 'fr', 'stop'), ('Arrêter', 'fr', 'stop'),
  ('DESABONNER', 'fr', 'stop'), ('Désabonner', 'fr', 'stop'), ('désabonnement', 'fr', 'stop'), ('FIN', 'fr', 'stop'), ('fin', 'fr', 'stop'), ('UNSUBSCRIBE', 'en', 'stop'), ('Cancel', 'en', 'stop'),
  ('QUIT', 'en', 'stop'), ('end', 'en', 'stop'), ('OPTOUT', 'en', 'stop'), ('opt-out', 'en', 'stop'), ('Revoke', 'en', 'stop'), ('quitter', 'fr', 'stop'), ('Résilier', 'fr', 'stop'),
  ('START', 'fr', 'start'), ('start', 'en', 'start'), ('UNSTOP', 'en', 'start'), ('REPRENDRE', 'fr', 'start'), ('Reprendre', 'fr', 'start'), ('réabonner', 'fr', 'start'), ('subscribe', 'en', 'start'),
  ('OUI', 'fr', 'confirm'), ('oui', 'fr', 'confirm'), ('Yes', 'en', 'confirm'), ('d''accord', 'fr', 'confirm'), ('J''accepte', 'fr', 'confirm'), ('I agree', 'en', 'confirm'),
  ('AIDE', 'fr', 'help'), ('aide', 'fr', 'help'), ('HELP', 'en', 'help'), ('Help me', 'en', 'help'), ('aidez-moi', 'fr', 'help'), ('SOS', 'fr', 'help'), ('Menu', 'fr', 'help'),
  ('INFO', 'fr', 'info'), ('infos', 'fr', 'info'), ('Information', 'en', 'info'), ('informations', 'fr', 'info'),
  -- Accents written apart, full width, other forms of letters, signs that nobody sees.
  (E'ARRE\u0302T', 'fr', 'stop'), (E'arre\u0302t', 'fr', 'stop'), ('ＳＴＯＰ', 'fr', 'stop'), ('ａｒｒｅｔ', 'fr', 'stop'), ('𝐒𝐓𝐎𝐏', 'en', 'stop'), ('ⓢⓣⓞⓟ', 'en', 'stop'), (E'ST\u200bOP', 'fr', 'stop'),
  (E'\u200eSTOP\u200f', 'ar', 'stop'), (E'\u202bSTOP\u202c', 'ar', 'stop'), (E'\ufeffSTOP', 'fr', 'stop'), (E'S\u00adTOP', 'fr', 'stop'), (E'STOP\ufe0f', 'fr', 'stop'), (E'\u2066ARRÊT\u2069', 'fr', 'stop'),
  (E'ＡＩＤＥ', 'fr', 'help'), (E'ŌUI', 'fr', 'confirm'), (E'ＳＴＡＲＴ！', 'fr', 'start'), (E'INF\u200dO', 'fr', 'info'),
  -- Blanks, punctuation, signs, pictures.
  (' STOP ', 'fr', 'stop'), (E'STOP\n', 'fr', 'stop'), (E'\r\n\tSTOP', 'fr', 'stop'), (E'STOP\u00a0', 'fr', 'stop'), (E'\u202fSTOP', 'fr', 'stop'), ('STOP.', 'fr', 'stop'), ('STOP!!!', 'fr', 'stop'), ('"STOP"', 'fr', 'stop'),
  ('« STOP »', 'fr', 'stop'), ('(stop)', 'en', 'stop'), ('/stop', 'fr', 'stop'), ('#STOP', 'fr', 'stop'), ('*STOP*', 'fr', 'stop'), ('_arrêt_', 'fr', 'stop'), ('S.T.O.P', 'fr', 'stop'), ('S T O P', 'fr', 'stop'),
  ('S-T-O-P !', 'en', 'stop'), ('STOP 🙏', 'fr', 'stop'), ('🛑 STOP 🛑', 'fr', 'stop'), ('STOP🙏🏿', 'fr', 'stop'), ('Stop…', 'fr', 'stop'), ('¡STOP!', 'es', 'stop'), ('oui 👍🏾', 'fr', 'confirm'), ('Oui!', 'fr', 'confirm'),
  ('AIDE ???', 'fr', 'help'), ('/start', 'fr', 'start'), ('/help', 'en', 'help'), ('info?', 'fr', 'info'), ('👍', 'fr', NULL), ('🛑', 'fr', NULL), ('???', 'fr', NULL), ('', 'fr', NULL), ('   ', 'fr', NULL), (E'\u200b', 'fr', NULL),
  -- More words after it: what asks for an end is heard at the beginning of a text; the others only alone.
  ('STOP SMS', 'fr', 'stop'), ('stop svp', 'fr', 'stop'), ('STOP 36200', 'fr', 'stop'), ('Stop please', 'en', 'stop'), ('STOP, j''ai déjà payé', 'fr', 'stop'), ('Arrêt svp merci', 'fr', 'stop'),
  ('Arrêtez d''appeler', 'fr', 'stop'), ('arretez de m''envoyer des messages', 'fr', 'stop'), ('Arrête de m''écrire', 'fr', 'stop'), ('unsubscribe me now', 'en', 'stop'), ('Désabonnez-moi', 'fr', 'stop'),
  ('ne plus recevoir vos sms', 'fr', 'stop'), ('Je ne veux plus recevoir de messages', 'fr', 'stop'), ('Do not contact me again', 'en', 'stop'), ('Don''t contact me', 'en', 'stop'), ('N''envoyez plus rien', 'fr', 'stop'),
  ('STOP ALL', 'en', 'stop_all'), ('stop tout', 'fr', 'stop_all'), ('Arrêtez tout', 'fr', 'stop_all'), ('STOPALL', 'en', 'stop_all'),
  ('fin svp', 'fr', 'stop'), ('FIN SMS', 'fr', 'stop'), ('plus de messages', 'fr', 'stop'), ('Start please', 'en', 'start'), ('aide svp', 'fr', 'help'), ('info merci', 'fr', 'info'), ('Oui merci', 'fr', 'confirm'),
  -- Words of courtesy before it.
  ('Bonjour STOP', 'fr', 'stop'), ('svp stop', 'fr', 'stop'), ('Please stop', 'en', 'stop'), ('Hello, please unsubscribe', 'en', 'stop'), ('Bonsoir, arrêt', 'fr', 'stop'), ('s''il vous plaît arrêtez', 'fr', 'stop'),
  ('Salam aleikoum, stop', 'wo', 'stop'), ('Merci, oui', 'fr', 'confirm'), ('Bonjour, aide svp', 'fr', 'help'), ('Hi, help please', 'en', 'help'), ('Bonjour', 'fr', NULL), ('merci', 'fr', NULL), ('Hello!', 'en', NULL), ('Thank you', 'en', NULL),
  -- Local languages.
  ('taxawal', 'wo', 'stop'), ('Bàyyil', 'wo', 'stop'), ('bayil', 'wo', 'stop'), ('waaw', 'wo', 'confirm'), ('Waaw !', 'wo', 'confirm'), ('ndimbal', 'wo', 'help'), ('Ndimbal svp', 'wo', 'help'),
  ('tsaya', 'ha', 'stop'), ('Daina', 'ha', 'stop'), ('taimako', 'ha', 'help'), ('dabila', 'bm', 'stop'), ('A dabila', 'bm', 'stop'), ('awɔ', 'bm', 'confirm'), ('ɔwɔ', 'bm', 'confirm'), ('dɛmɛ', 'bm', 'help'), ('DƐMƐ', 'bm', 'help'),
  ('accu', 'ff', 'stop'), ('ballal', 'ff', 'help'), ('acha', 'sw', 'stop'), ('Sitisha', 'sw', 'stop'), ('ndiyo', 'sw', 'confirm'), ('msaada', 'sw', 'help'), ('parar', 'pt', 'stop'), ('SAIR', 'pt', 'stop'), ('sim', 'pt', 'confirm'),
  ('Informação', 'pt', 'info'), ('توقف', 'ar', 'stop'), ('إيقاف', 'ar', 'stop'), ('تَوَقَّف', 'ar', 'stop'), ('إلغاء الاشتراك', 'ar', 'stop'), ('نعم', 'ar', 'confirm'), ('مساعدة', 'ar', 'help'), ('معلومات؟', 'ar', 'info'),
  ('waaw', 'fr', 'confirm'), ('STOP', 'ar', 'stop'), ('توقف', 'fr', 'stop'),
  -- No keywords: a word within a sentence, an exception, a typing error, another alphabet's look-alikes, numbers.
  ('Je vous prie de ne pas arrêter mon compte', 'fr', NULL), ('don''t stop', 'en', NULL), ('non stop', 'fr', NULL), ('Arrêt maladie, je paierai lundi', 'fr', NULL), ('arrêt de travail', 'fr', NULL), ('Stop by your office tomorrow?', 'en', NULL),
  ('Fin du mois je paie', 'fr', NULL), ('fin juillet', 'fr', NULL), ('Cancel my appointment', 'en', NULL), ('End of month', 'en', NULL), ('quit my job so cannot pay', 'en', NULL), ('oui je paie demain', 'fr', NULL), ('Yes but later', 'en', NULL),
  ('Aide moi à payer ce mois', 'fr', NULL), ('info sur mon crédit', 'fr', NULL), ('start again my loan', 'en', NULL), ('STPO', 'fr', NULL), ('STPOP', 'fr', NULL), ('ar ret', 'fr', NULL), ('stopp', 'fr', NULL), ('STOPEZ', 'fr', NULL), ('36200STOP', 'fr', NULL),
  ('stop36200', 'fr', NULL), ('ЅТОР', 'fr', NULL), ('Stopé', 'fr', NULL), ('nonstop', 'en', NULL), ('J''ai payé hier par Wave', 'fr', NULL), ('Combien je dois ?', 'fr', NULL), ('1', 'fr', NULL), ('2', 'wo', NULL), ('non', 'fr', NULL), ('no', 'en', NULL),
  ('ok', 'fr', NULL), ('770000001', 'fr', NULL), ('أريد أن أدفع غدا', 'ar', NULL), ('nanga def', 'wo', NULL), ('I ni ce', 'bm', NULL), ('bayil ma jot', 'wo', NULL), ('أوقف', 'ar', 'stop'), ('desabo', 'fr', NULL);
