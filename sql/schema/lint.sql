-- What a text is looked at for before people get it: limits, words, and who may get it as a test.

CREATE TABLE mfiauto.lint_limit (
  rule text NOT NULL,
  level text NOT NULL,
  limit_value numeric,
  meaning text NOT NULL,
  CONSTRAINT lint_limit_pkey PRIMARY KEY (rule),
  CONSTRAINT lint_limit_level_check CHECK (level IN ('block', 'warn', 'off'))
);
COMMENT ON TABLE mfiauto.lint_limit IS
  'What mfiauto.template_lint looks for. level block: a workflow with such a text is not activated; warn: it is told; off: it is not looked for. Set with set_lint_limit().';
INSERT INTO mfiauto.lint_limit VALUES
  ('parts', 'block', 4, 'SMS parts with the longest values'),
  ('price', 'off', NULL, 'price of one message with the longest values, at the channel''s first gateway'),
  ('alphabet', 'warn', NULL, 'characters that make an SMS travel as UCS-2: 70 characters a part'),
  ('reading_ease', 'warn', 50, 'least reading ease: Flesch for English, Kandel and Moles for French'),
  ('sentence_length', 'warn', 20, 'words a sentence, on average'),
  ('one_action', 'warn', 1, 'sentences that ask for something: reminders and offers have exactly one'),
  ('forbidden_word', 'block', NULL, 'threats, shame, promises: mfiauto.lint_word lists them'),
  ('shared_phone', 'warn', NULL, 'words of debt in texts that whoever holds a shared telephone reads or hears'),
  ('shouting', 'warn', NULL, 'words in capitals one after the other, and several exclamation marks'),
  ('collection_link', 'warn', NULL, 'links in reminders: people learn from them to follow those of thieves'),
  ('spoken_link', 'warn', NULL, 'links in calls: nobody can follow what he hears'),
  ('opt_out', 'warn', NULL, 'offers and advice that do not say how to be left alone');

CREATE TABLE mfiauto.lint_word (
  language text NOT NULL,
  kind text NOT NULL,
  phrase text NOT NULL,
  meaning text NOT NULL,
  CONSTRAINT lint_word_pkey PRIMARY KEY (language, kind, phrase),
  CONSTRAINT lint_word_kind_check CHECK (kind IN ('forbidden', 'action', 'debt'))
);
COMMENT ON TABLE mfiauto.lint_word IS
  'Words and phrases by language, compared without accents and case, whole words: forbidden ones, those that ask for something (action), those that tell of a debt.';
INSERT INTO mfiauto.lint_word (language, kind, phrase, meaning)
SELECT w.language, w.kind, p.phrase, w.meaning
  FROM (VALUES
    ('fr', 'forbidden', 'threat', 'huissier|saisie|saisir vos biens|prison|police|gendarmerie|gendarmes|tribunal|justice|poursuites|plainte|dernier avertissement|derniere chance'),
    ('fr', 'forbidden', 'shame or third parties', 'honte|voleur|escroc|menteur|mauvais payeur|vos proches|vos voisins|vos contacts|votre employeur|liste noire|sur la place publique'),
    ('fr', 'forbidden', 'promise that cannot be kept', 'sans risque|sans aucun risque|argent garanti|credit garanti|gain garanti|gagne d avance|argent gratuit|sans condition'),
    ('en', 'forbidden', 'threat', 'arrest|arrested|jail|prison|police|court|lawsuit|sue you|auction|auctioneer|seize|final warning|last warning|legal action'),
    ('en', 'forbidden', 'shame or third parties', 'shame|thief|fraudster|liar|defaulter|bad debtor|your contacts|your relatives|your neighbours|your neighbors|your employer|blacklist|blacklisted|crb|publicly'),
    ('en', 'forbidden', 'promise that cannot be kept', 'risk free|guaranteed|guaranteed loan|guaranteed win|free money|no conditions'),
    ('pt', 'forbidden', 'threat', 'prisao|cadeia|policia|tribunal|penhora|processo judicial|ultimo aviso'),
    ('pt', 'forbidden', 'shame or third parties', 'vergonha|ladrao|caloteiro|mentiroso|seus vizinhos|seus familiares|lista negra'),
    ('pt', 'forbidden', 'promise that cannot be kept', 'sem risco|garantido|dinheiro gratis'),
    ('es', 'forbidden', 'threat', 'carcel|prision|policia|juzgado|tribunal|embargo|demanda judicial|ultimo aviso'),
    ('es', 'forbidden', 'shame or third parties', 'verguenza|ladron|moroso|mentiroso|sus vecinos|sus familiares|lista negra'),
    ('es', 'forbidden', 'promise that cannot be kept', 'sin riesgo|garantizado|dinero gratis'),
    ('sw', 'forbidden', 'threat', 'jela|gereza|polisi|mahakama|mahakamani|mnada|kukamatwa|onyo la mwisho'),
    ('sw', 'forbidden', 'shame or third parties', 'aibu|mwizi|tapeli|mwongo|majirani zako|jamaa zako'),
    ('sw', 'forbidden', 'promise that cannot be kept', 'bila hatari|pesa za bure|uhakika wa mkopo'),
    ('ar', 'forbidden', 'threat', 'السجن|الشرطة|المحكمة|الحجز|الانذار الاخير'),
    ('ar', 'forbidden', 'shame or third parties', 'عار|فضيحة|لص|محتال|جيرانك|اقاربك|القائمة السوداء'),
    ('ar', 'forbidden', 'promise that cannot be kept', 'بدون مخاطر|مضمون|مال مجاني'),
    ('fr', 'action', 'asks for something', 'payez|payer au|vous pouvez payer|reglez|remboursez|versez|deposez|appelez|rappelez|repondez|cliquez|passez|venez|visitez|inscrivez|composez|tapez|appuyez|parlez|telechargez|confirmez|souscrivez'),
    ('en', 'action', 'asks for something', 'pay|repay|deposit|call|reply|answer|click|visit|come|dial|press|talk|download|confirm|join|apply|register'),
    ('pt', 'action', 'asks for something', 'pague|reembolse|deposite|ligue|responda|clique|visite|venha|marque|confirme|fale|descarregue'),
    ('es', 'action', 'asks for something', 'pague|reembolse|deposite|llame|responda|haga clic|visite|venga|marque|confirme|hable|descargue'),
    ('sw', 'action', 'asks for something', 'lipa|rejesha|weka|piga|jibu|bofya|tembelea|njoo|bonyeza|thibitisha|ongea'),
    ('ar', 'action', 'asks for something', 'ادفع|سدد|اتصل|رد|اضغط|زر|تعال|اكد|تحدث'),
    ('fr', 'debt', 'tells of a debt', 'retard|impaye|impayes|arrieres|arriere|dette|dettes|defaut|en souffrance'),
    ('en', 'debt', 'tells of a debt', 'overdue|arrears|debt|default|late|unpaid|past due'),
    ('pt', 'debt', 'tells of a debt', 'atraso|atrasado|atrasada|divida|em falta'),
    ('es', 'debt', 'tells of a debt', 'atraso|atrasado|vencida|deuda|mora|impago'),
    ('sw', 'debt', 'tells of a debt', 'deni|madeni|umechelewa|malimbikizo'),
    ('ar', 'debt', 'tells of a debt', 'متاخر|متاخرات|دين|ديون')) AS w(language, kind, meaning, phrases),
  LATERAL regexp_split_to_table(w.phrases, '\|') AS p(phrase);

CREATE TABLE mfiauto.test_recipient (
  channel text NOT NULL,
  address text NOT NULL,
  note text,
  added_at timestamptz NOT NULL,
  added_by text NOT NULL,
  CONSTRAINT test_recipient_pkey PRIMARY KEY (channel, address)
);
COMMENT ON TABLE mfiauto.test_recipient IS 'Addresses of our own people: where test_template() may send, and nowhere else.';
