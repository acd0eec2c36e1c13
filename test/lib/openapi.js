// Sends what the contracts of test/contracts say to mocks that the providers' own OpenAPI documents make, and reports. Started by tools/test_contracts.sh.
//
//   openapi.js LIST CONTRACTS DOCUMENTS     needs psql and PGHOST, PGPORT, PGUSER, PGDATABASE of a server with mfiauto; @stoplight/prism-cli in NODE_PATH
//
// LIST (test/openapi.json) names a document for each preset; DOCUMENTS/OWNER/NAME/FILE is its copy, DOCUMENTS/OWNER/NAME/FILE.reason why there is none.
//
//   product ──► front ──► prism (mock)
//                 └─ remembers what came and what was answered
//
// A case is good if the product sent it, prism found no violation, every member's name stands in the document (which prism does not ask for), and the
// product understood the answer that the document gives as its example. What came is then sent once more, broken on purpose, and must be refused.
'use strict';
const fs = require('fs');
const http = require('http');
const path = require('path');
const { execFile } = require('child_process');
const { createServer } = require('@stoplight/prism-http-server');
const { getHttpOperationsFromSpec } = require('@stoplight/prism-http');
const { createLogger } = require('@stoplight/prism-core');
const { parse } = require('@stoplight/yaml');

const [listFile, contractsDir, documentsDir] = process.argv.slice(2);
const counts = { ok: 0, FAILED: 0, skipped: 0 };

function report(verdict, preset, text) {
	counts[verdict]++;
	console.log(`${verdict.padEnd(7)} ${preset.padEnd(18)} ${text}`);
}

// ---- Documents ----

// A document with the wanted paths alone, each with its server's base path before it, and only the components that they lead to.
function trim(document, entry) {
	const base = document.basePath || ((document.servers || [{ url: '' }])[0].url.replace(/^[a-z]+:\/\/[^/]+/, ''));
	const paths = {};
	for (const name of entry.paths) {
		if (!document.paths[name]) throw new Error(`the document has no path ${name}`);
		const to = (entry.as || {})[name] || name;
		paths[(base.replace(/\/$/, '') + to).replace(/(.)\/$/, '$1')] = document.paths[name];
	}
	for (const edit of entry.edits || []) {
		const keys = [...edit.at];
		const last = keys.pop();
		keys.reduce((at, key) => at[key], document)[last] = edit.copy ? edit.copy.reduce((at, key) => at[key], document) : edit.put;
	}
	const trimmed = { ...document, paths, servers: undefined, tags: undefined, components: {}, 'x-webhooks': undefined, webhooks: undefined };
	const pending = [paths];
	if (document.components && document.components.securitySchemes) trimmed.components.securitySchemes = document.components.securitySchemes;
	while (pending.length > 0) {
		const part = pending.pop();
		for (const [key, value] of Object.entries(part)) {
			if (typeof value === 'string' && value.startsWith('#/components/')) {
				// Also in a discriminator's mapping.
				const [kind, name] = value.replace('#/components/', '').split('/');
				const known = (trimmed.components[kind] = trimmed.components[kind] || {});
				if (!known[name] && (document.components[kind] || {})[name]) {
					known[name] = document.components[kind][name];
					pending.push(known[name]);
				}
			} else if (key === 'content' && value && value['*/*'] && !value['application/json']) {
				value['application/json'] = value['*/*'];
				delete value['*/*'];
				pending.push(value);
			} else if (value && typeof value === 'object') pending.push(value);
		}
	}
	return JSON.parse(JSON.stringify(trimmed));
}

function resolve(document, schema) {
	for (let depth = 0; schema && schema.$ref && depth < 50; depth++)
		schema = schema.$ref.slice(2).split('/').reduce((at, key) => at && at[key.replace(/~1/g, '/').replace(/~0/g, '~')], document);
	return schema || {};
}

// Every schema that may describe the same value: the alternatives and parts of each.
function alternatives(document, schemas, found = new Set()) {
	for (const one of schemas) {
		const schema = resolve(document, one);
		if (found.has(schema)) continue;
		found.add(schema);
		alternatives(document, [...(schema.allOf || []), ...(schema.oneOf || []), ...(schema.anyOf || []),
			...Object.values((schema.discriminator || {}).mapping || {}).map((at) => ({ $ref: at }))], found);
	}
	return found;
}

// The members of a value that no schema for it knows. Where a schema names none, any will do.
function strangers(document, value, schemas, at = '') {
	const all = [...alternatives(document, schemas)];
	if (Array.isArray(value)) {
		const items = all.map((s) => s.items).filter(Boolean);
		return items.length === 0 ? [] : value.flatMap((v, i) => strangers(document, v, items, `${at}[${i}]`));
	}
	if (!value || typeof value !== 'object') return [];
	const isFree = all.some((s) => s.additionalProperties === true || s.patternProperties) || !all.some((s) => s.properties);
	const rest = all.map((s) => s.additionalProperties).filter((s) => s && typeof s === 'object');
	return Object.entries(value).flatMap(([name, v]) => {
		const known = all.map((s) => (s.properties || {})[name]).filter(Boolean);
		const place = at ? `${at}.${name}` : name;
		if (known.length > 0) return strangers(document, v, known, place);
		if (rest.length > 0) return strangers(document, v, rest, place);
		return isFree ? [] : [place];
	});
}

const isForm = (exchange) => /urlencoded/.test(exchange.headers['content-type'] || '');
const readBody = (exchange) => (isForm(exchange) ? Object.fromEntries(new URLSearchParams(exchange.body)) : JSON.parse(exchange.body));
const writeBody = (exchange, value) => (isForm(exchange) ? new URLSearchParams(value).toString() : JSON.stringify(value));

// Prism answers what the document has no answer for with a problem of its own, and its reasons.
function problems(exchange) {
	try {
		const problem = JSON.parse(exchange.answer);
		if (problem.validation) return problem.validation.map((v) => `${v.location.join('.')} ${v.message}`);
		return [`${exchange.status} ${problem.title || exchange.answer.slice(0, 200)}`];
	} catch (error) {
		return [`${exchange.status} ${exchange.answer.slice(0, 200)}`];
	}
}

// What is wrong with an exchange: by prism, and by the names.
function faults(document, exchange) {
	const found = exchange.violations.map((v) => `${v.location.join('.')} ${v.message}`);
	if (exchange.status >= 400 && found.length === 0) found.push(...problems(exchange));
	const wanted = exchange.path.split('?')[0];
	const [, item] = Object.entries(document.paths).find(([p]) => new RegExp('^' + p.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/\{[^}]*\}/g, '[^/]+') + '$').test(wanted)) || [];
	const operation = item && item[exchange.method.toLowerCase()];
	const body = operation && resolve(document, operation.requestBody);
	const media = body && body.content && body.content[(exchange.headers['content-type'] || '').split(';')[0]];
	if (!media) return [...found, `the document takes no ${exchange.headers['content-type']} at ${exchange.method} ${wanted}`];
	return [...found, ...strangers(document, readBody(exchange), [media.schema]).map((name) => `${name} is not in the document`)];
}

// ---- The mock and what stands before it ----

function forward(port, exchange) {
	return new Promise((done, fail) => {
		const headers = { ...exchange.headers, 'content-length': Buffer.byteLength(exchange.body) };
		for (const name of ['host', 'connection', 'transfer-encoding', 'upgrade', 'http2-settings', 'expect', 'accept-encoding']) delete headers[name];
		const request = http.request({ host: '127.0.0.1', port, path: exchange.path, method: exchange.method, headers }, (answer) => {
			let text = '';
			answer.setEncoding('utf8').on('data', (part) => (text += part)).on('end', () => {
				let violations = [];
				// A list that is too long comes cut off.
				try { violations = JSON.parse(answer.headers['sl-violations'] || '[]'); } catch (error) { violations = [{ location: ['request'], severity: 'Error', message: answer.headers['sl-violations'] }]; }
				// A document whose own example does not fit it is none of our business.
				violations = violations.filter((v) => v.location[0] === 'request' && v.severity === 'Error');
				done({ ...exchange, status: answer.statusCode, type: answer.headers['content-type'], answer: text, violations });
			});
		});
		request.setTimeout(30000, () => request.destroy(new Error('prism did not answer')));
		request.on('error', fail).end(exchange.body);
	});
}

// Takes a member away, or gives it another name; false if there is none.
function drop(object, place, other) {
	const keys = place.split('.');
	const last = keys.pop();
	const holder = keys.reduce((at, key) => at && at[key], object);
	if (!holder || holder[last] === undefined) return false;
	if (other) holder[last + other] = holder[last];
	delete holder[last];
	return true;
}

// Returns {port, document, seen, ask, close}; use, what the list says of the preset that is at it, is set by who uses it.
async function start(entry, file) {
	const document = trim(parse(fs.readFileSync(file, 'utf8')), entry);
	const prism = createServer(await getHttpOperationsFromSpec(document), {
		cors: false,
		config: { isProxy: false, validateRequest: true, validateResponse: true, checkSecurity: true, errors: false, mock: { dynamic: false } },
		components: { logger: createLogger('contracts', { level: 'silent' }) },
	});
	const prismPort = Number((await prism.listen(0, '127.0.0.1')).replace(/.*:/, ''));
	const seen = [];
	const mock = {};
	const front = http.createServer((request, reply) => {
		let body = '';
		request.setEncoding('utf8').on('data', (part) => (body += part)).on('end', async () => {
			// The one address that no document of the list describes: where a token is fetched.
			if (request.url === '/token') {
				reply.setHeader('Content-Type', 'application/json');
				return reply.end('{"access_token": "made-up", "token_type": "Bearer", "expires_in": 3600}');
			}
			let exchange = { method: request.method, path: request.url, headers: request.headers, body };
			try {
				if (mock.use.not_in_document) {
					const value = readBody(exchange);
					for (const place of mock.use.not_in_document) drop(value, place);
					exchange.body = writeBody(exchange, value);
				}
				exchange = await forward(prismPort, exchange);
			} catch (error) {
				exchange = { ...exchange, status: 502, answer: String(error), violations: [] };
			}
			seen.push(exchange);
			reply.statusCode = exchange.status;
			if (exchange.type) reply.setHeader('Content-Type', exchange.type);
			reply.end(exchange.answer);
		});
	});
	await new Promise((done) => front.listen(0, '127.0.0.1', done));
	Object.assign(mock, {
		port: front.address().port, document, seen,
		ask: (exchange) => forward(prismPort, exchange),
		close: async () => { front.closeAllConnections(); front.close(); await prism.close(); },
	});
	return mock;
}

// ---- The product ----

const quote = (value) => (value === undefined || value === null ? 'NULL' : `E'${String(value).replace(/\\/g, '\\\\').replace(/'/g, "\\'").replace(/\n/g, '\\n')}'`);

function sql(text) {
	return new Promise((done, fail) => {
		const child = execFile('psql', ['-X', '-q', '-t', '-A', '-v', 'ON_ERROR_STOP=1', '-f', '-'], { timeout: 60000 }, (error, out, err) =>
			error ? fail(new Error((/ERROR: .*/.exec(err) || [err || String(error)])[0].trim())) : done(out.trim()));
		child.stdin.end(text);
	});
}

// A message without workflow through a gateway of its own; returns {state, reason, provider_id}.
async function deliver(preset, channel, settings, secrets, m) {
	const messageClass = m.class || (m.unsubscribe_url ? 'collection' : 'transactional');
	return JSON.parse(await sql(`
		SET client_min_messages = warning;
		SELECT mfiauto.set_clock('2026-01-05 09:00+00') \\gset
		SELECT mfiauto.create_gateway(${quote(preset)}, preset => ${quote(preset)}, channel => ${quote(channel)}, settings => ${quote(JSON.stringify(settings))}) \\gset
		${Object.entries(secrets).map(([k, v]) => `SELECT mfiauto.set_secret(${quote(preset)}, ${quote(k)}, ${quote(v)}) \\gset`).join('\n')}
		DELETE FROM mfiauto.outbox;
		-- He has just written to us: free text may be answered on every channel.
		INSERT INTO mfiauto.last_inbound (client_id, channel, received_at) SELECT coalesce(max(l.client_id), 0) + 1, ${quote(channel)}, mfiauto.now() FROM mfiauto.message_ledger l;
		WITH made AS (
		  INSERT INTO mfiauto.message_ledger (client_id, created_at, due_at, expires_at, state, class, channel, to_address, title, body, html, options, locale, encoding, parts)
		  VALUES ((SELECT coalesce(max(l.client_id), 0) + 1 FROM mfiauto.message_ledger l), mfiauto.now(), mfiauto.now(), mfiauto.now() + ${m.expires_in || 86400} * interval '1 second', 'queued', ${quote(messageClass)}, ${quote(channel)}, ${quote(m.to)},
		          ${quote(m.title)}, ${quote(m.text)}, ${quote(m.html)}, ${quote(m.options && JSON.stringify(m.options))}, ${quote(m.locale || 'fr-SN')},
		          (SELECT s.encoding FROM mfiauto.sms_parts(${quote(m.text)}) s), 1) RETURNING *)
		INSERT INTO mfiauto.outbox (client_id, message_id, created_at, channel, priority, due_at, expires_at)
		SELECT m.client_id, m.message_id, m.created_at, m.channel, c.priority, m.due_at, m.expires_at FROM made m JOIN mfiauto.message_class c ON c.class = m.class;
		SELECT mfiauto.run_delivery() \\gset
		SELECT json_build_object('state', l.state, 'reason', l.reason, 'provider_id', l.provider_id) FROM mfiauto.message_ledger l ORDER BY l.message_id DESC LIMIT 1;
		SELECT mfiauto.drop_gateway(${quote(preset)}) \\gset
	`));
}

// ---- A preset ----

// What came, sent again with one thing wrong: the document must refuse it.
async function checkBroken(preset, mock, exchange, what, breakIt) {
	const broken = { ...exchange, headers: { ...exchange.headers } };
	if (!breakIt(broken)) return report('FAILED', preset, `cannot be tried ${what}: it is not in the request`);
	const answered = await mock.ask(broken);
	const found = faults(mock.document, answered);
	// A mock that breaks down refuses nothing.
	return found.length > 0 && answered.status < 500 ? report('ok', preset, `refused ${what}: ${found[0].slice(0, 100)}`) : report('FAILED', preset, `not refused ${what}: ${answered.status}`);
}

const inBody = (place, other) => (exchange) => {
	const value = readBody(exchange);
	const isThere = drop(value, place, other);
	exchange.body = writeBody(exchange, value);
	return isThere;
};

async function checkPreset(preset, use, mock) {
	const contract = JSON.parse(fs.readFileSync(path.join(contractsDir, `${preset}.json`), 'utf8'));
	const base = `http://127.0.0.1:${mock.port}`;
	const settings = { ...contract.settings, ...use.settings, base_url: base, ...(contract.token ? { token_url: `${base}/token` } : {}) };
	let last;
	mock.use = use;
	for (const one of [...contract.cases, ...(use.also || []).map((more) => ({ ...more, message: { ...contract.cases[0].message, ...more.message } }))]) {
		mock.seen.length = 0;
		let outcome;
		try {
			outcome = await deliver(preset, contract.channel, { ...settings, ...one.settings }, { ...contract.secrets, ...use.secrets }, one.message);
		} catch (error) {
			report('FAILED', preset, `"${one.name}": ${error.message}`);
			continue;
		}
		const exchange = mock.seen[0];
		const found = !exchange ? ['nothing was sent'] : faults(mock.document, exchange);
		if (mock.seen.length > 1) found.push(`it was sent ${mock.seen.length} times`);
		if (found.length === 0 && !['submitted', 'sent', 'delivered'].includes(outcome.state))
			found.push(`the answer was not understood: ${exchange.answer.slice(0, 200)}`);
		if (found.length > 0) { report('FAILED', preset, `"${one.name}": ${outcome.state}${outcome.reason ? '/' + outcome.reason : ''}; ${found.join('; ')}`); continue; }
		report('ok', preset, `"${one.name}": ${exchange.method} ${exchange.path.replace(/\?.*/, '')} ${exchange.status}` + (outcome.provider_id ? `, id ${outcome.provider_id}` : ''));
		last = last || exchange;
	}
	if (!last) return;
	for (const place of use.required) await checkBroken(preset, mock, last, `without ${place}`, inBody(place));
	for (const place of use.misspelt) await checkBroken(preset, mock, last, `with ${place} misspelt`, inBody(place, 'x'));
	if (use.credential) await checkBroken(preset, mock, last, `without ${use.credential}`, (e) => e.headers[use.credential.toLowerCase()] !== undefined && delete e.headers[use.credential.toLowerCase()]);
}

async function main() {
	const list = JSON.parse(fs.readFileSync(listFile, 'utf8'));
	for (const entry of list.documents) {
		const file = path.join(documentsDir, entry.repository, entry.file);
		const presets = Object.entries(entry.presets);
		if (!fs.existsSync(file)) {
			const why = fs.existsSync(file + '.reason') ? fs.readFileSync(file + '.reason', 'utf8').trim() : 'the document is not here';
			for (const [preset] of presets) report('skipped', preset, `${entry.repository}: ${why}`);
			continue;
		}
		let mock;
		try {
			mock = await start(entry, file);
		} catch (error) {
			for (const [preset] of presets) report('FAILED', preset, `${entry.repository} ${entry.file}: ${error.message}`);
			continue;
		}
		for (const [preset, use] of presets) await checkPreset(preset, use, mock);
		await mock.close();
	}
	for (const [preset, why] of Object.entries(list.without)) report('skipped', preset, why);
	const listed = new Set([...list.documents.flatMap((e) => Object.keys(e.presets)), ...Object.keys(list.without)]);
	for (const file of fs.readdirSync(contractsDir)) if (!listed.has(path.basename(file, '.json'))) report('FAILED', path.basename(file, '.json'), `is not in ${path.basename(listFile)}`);
	console.log(`${counts.ok} passed, ${counts.FAILED} failed, ${counts.skipped} skipped`);
	process.exit(counts.FAILED === 0 ? 0 : 1);
}

main().catch((error) => { console.error(error); process.exit(1); });
