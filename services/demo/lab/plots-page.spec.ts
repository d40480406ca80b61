import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { openPlots } from './plots-page.ts';
import type { MetricsState } from './prometheus-api.ts';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
});

type PrometheusAnswer = { data: unknown } | { error: string };

/** Answers as Prometheus does, and counts. */
async function pretend(answers: (path: string, query: URLSearchParams) => PrometheusAnswer): Promise<{
  metrics: () => MetricsState;
  asked: string[];
}> {
  const asked: string[] = [];
  server = createServer((req, res) => {
    const url = new URL(req.url!, 'http://localhost');
    asked.push(url.pathname);
    const answer = answers(url.pathname.split('/').at(-1)!, url.searchParams);
    res.end(JSON.stringify({ status: 'data' in answer ? 'success' : 'error', ...answer }));
  });
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { metrics: () => ({ state: 'running', url: `http://127.0.0.1:${port}` }), asked };
}

const nothing = { data: { result: [], alerts: [] } };

test('without Prometheus the page says what to do', async () => {
  const why = 'there is no Prometheus on this machine: install it';
  const { fragments } = await openPlots(() => ({ state: 'absent', why })).now();
  expect(fragments['plots-problem']).toContain(why);
  expect(fragments['silent']).toContain('unknown');
});

test('lines, words and table of a plot say the same, and what comes from labels is escaped', async () => {
  const { metrics } = await pretend((path, query) => {
    if (path !== 'query_range' || !query.get('query')!.includes('lag_records')) return nothing;
    const [from, to] = [Number(query.get('start')), Number(query.get('end'))];
    return {
      data: {
        result: [
          {
            metric: { page: '<b>' },
            values: [
              [from, '3'],
              [to, '7'],
            ],
          },
        ],
      },
    };
  });
  const { fragments, values } = await openPlots(metrics).now();
  expect(fragments['lines-lag-records']).toContain('<path class="curve-line is-gig" d="M0.0 ');
  expect(fragments['legend-lag-records']).toContain('&lt;b&gt; <b>7</b>');
  expect(fragments['values-lag-records']).toContain('<td>7</td><td>3</td><td>7</td>');
  expect(values['lag-records']![0]!.words.at(0)).toBe('3');
  expect(values['lag-records']![0]!.words.at(1)).toBe('–');
  expect(fragments['legend-lag-seconds']).toContain('No projector runs.');
});

test('alerts that fire come before those that may, and processes that are silent are named', async () => {
  const alert = (alertname: string, state: string) => ({
    labels: { alertname, severity: 'critical' },
    annotations: { summary: 'Changes do not arrive' },
    state,
  });
  const { metrics } = await pretend((path) => {
    if (path === 'alerts') {
      // As the windows of one rule are: one of them fires, the other does not yet.
      const windows = [alert('Late', 'firing'), alert('Late', 'pending')];
      return { data: { alerts: [alert('Soon', 'pending'), ...windows] } };
    }
    if (path === 'query') return { data: { result: [{ metric: { pod: 'top-clients' } }] } };
    return nothing;
  });
  const { fragments } = await openPlots(metrics).now();
  expect(fragments['alerts']).toMatch(/fires.*Late.*soon.*Soon/s);
  expect(fragments['alerts']!.match(/<li>/g)).toHaveLength(2);
  expect(fragments['silent']).toContain('top-clients');
  expect(fragments['plots-announcement']).toBe('Alerts that fire: Late. Not answering: top-clients.');
});

test('viewers who look at once share the answers', async () => {
  const { metrics, asked } = await pretend(() => nothing);
  const plots = openPlots(metrics);
  await Promise.all([plots.now(), plots.now()]);
  await plots.now();
  expect(asked.filter((path) => path.endsWith('/alerts'))).toHaveLength(1);
});

test('a Prometheus that refuses is told, not thrown', async () => {
  const { metrics } = await pretend(() => ({ error: 'parse error' }));
  const { fragments } = await openPlots(metrics).now();
  expect(fragments['plots-problem']).toContain('Prometheus refuses');
  expect(fragments['plots-problem']).toContain('parse error');
});
