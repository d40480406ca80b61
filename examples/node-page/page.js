// A page of a seller in plain JavaScript: Express, and the lists by top-clients-page-kit. Settings come from the environment.
import { createServer } from 'node:http';
import express from 'express';
import { openTopClients } from 'top-clients-page-kit';

const {
  PAGE = 'shop',
  DELIVERY = 'asynchronous',
  DATABASE_URL,
  SOURCE_URL,
  SOURCE_CREDENTIAL,
  HOST,
  PORT = '8080',
  HEALTH_PORT = '9090',
  SHUTDOWN_DELAY_MS = '5000',
} = process.env;

const say = (level) => (details, message) =>
  console.log(JSON.stringify({ level, message: message ?? details, error: details?.err?.message }));
const topClients = openTopClients({
  page: PAGE,
  delivery: DELIVERY,
  database: { url: DATABASE_URL },
  ...(SOURCE_URL ? { source: { url: SOURCE_URL, credential: SOURCE_CREDENTIAL } } : {}),
  log: { debug() {}, info: say('info'), warn: say('warn'), error: say('error') },
});

// Names are what sellers typed.
const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escaped = (text) => String(text).replace(/[&<>"']/g, (one) => ENTITIES[one]);

const idIn = (text) =>
  /^[1-9]\d{0,15}$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : null;

const html = (sellerId, { outcome, clients }) => `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title>Seller ${sellerId}</title>
  </head>
  <body>
    <h1>Seller ${sellerId}</h1>
    ${
      // Missing or empty: a page without the list is a whole page.
      clients.length === 0
        ? ''
        : `<h2>Has worked with</h2>
    <ul>${clients.map(({ name, industry }) => `<li>${escaped(name)}${industry ? ` <small>${escaped(industry)}</small>` : ''}</li>`).join('')}</ul>`
    }
    ${outcome === 'stale' ? '<p>Your latest change will be here in a moment.</p>' : ''}
  </body>
</html>`;

const app = express();
app.disable('x-powered-by');
app.get(
  '/sellers/:sellerId',
  (req, res, next) =>
    idIn(req.params.sellerId) === null ? res.status(404).send('There is no such seller.') : next(),
  topClients.express((req) => idIn(req.params.sellerId)),
  (req, res) => {
    const sellerId = idIn(req.params.sellerId);
    const { outcome, version, ageMs, clients } = res.locals.topClients;
    res.set('content-security-policy', "default-src 'none'").vary('Accept');
    if (req.accepts(['html', 'json']) === 'json') {
      const total = clients.length;
      res.json({ sellerId, topClients: { outcome, version, ageMs, clients, total } });
    } else res.type('html').send(html(sellerId, res.locals.topClients));
  },
);

let stopping = false;
const server = app.listen(Number(PORT), HOST);
const health = createServer(async (req, res) => {
  const because = req.url === '/readyz' ? (stopping ? 'stopping' : topClients.notReadyBecause()) : null;
  if (req.url === '/metrics') {
    res.setHeader('content-type', topClients.registry.contentType);
    res.end(await topClients.registry.metrics());
  } else res.writeHead(because === null ? 200 : 503).end(`${because ?? 'ok'}\n`);
}).listen(Number(HEALTH_PORT), HOST);

process.on('SIGTERM', () => {
  // Proxies send requests until they have heard that this pod goes.
  stopping = true;
  setTimeout(() => {
    server.close(async () => {
      await topClients.close();
      health.close();
    });
    server.closeIdleConnections();
  }, Number(SHUTDOWN_DELAY_MS));
});
