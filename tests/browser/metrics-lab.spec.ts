import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { portsFrom, publicUrl } from '../../services/demo/addresses.ts';
import { type DelayProxy, openDelayProxy } from '../../services/demo/delay-proxy.ts';
import { allExamples } from '../../services/demo/examples.ts';
import { type Lab, openLab } from '../../services/demo/lab/server.ts';
import { scraping } from '../../services/demo/scraping.ts';
import { openIssuer } from '../../services/issuer/issuer.ts';
import { isPortFree } from '../../services/local-stack/ports.ts';
import { type LocalPrometheus, startPrometheus } from '../../services/local-stack/prometheus.ts';
import { graveViolationsInBothLooks } from './accessibility.ts';
import { openBrowser } from './open-browser.ts';
import { SIZES } from './world.ts';

let folder: string;
let browser: Browser;
let proxy: DelayProxy;
let lab: Lab;
let prometheus: LocalPrometheus;
let page: Page;
const complaints: string[] = [];

/** A page server as Prometheus sees it; what it counts follows the clock, so that every look finds more. */
const PAGE_SERVER = { outcome: 'full' };
const started = Date.now();
const counted: Record<string, number> = { full: 0, missing: 0, stale: 0, error: 0 };
let countedUntil = started;
function pageServerMetrics(): string {
  counted[PAGE_SERVER.outcome]! += (Date.now() - countedUntil) / 100;
  countedUntil = Date.now();
  const labels = 'page="gig",delivery="asynchronous"';
  const all = (Date.now() - started) / 100;
  const buckets = ['0.001', '0.0025', '0.005', '0.01', '0.1', '0.15', '+Inf'].map((le, index) => {
    const share = Math.min(1, (index + 1) / 6);
    return `topclients_page_render_duration_seconds_bucket{${labels},le="${le}"} ${all * share}`;
  });
  return [
    ...Object.entries(counted).map(
      ([outcome, value]) => `topclients_page_renders_total{${labels},outcome="${outcome}"} ${value}`,
    ),
    '# TYPE topclients_page_render_duration_seconds histogram',
    ...buckets,
    `topclients_projector_lag_seconds{page="gig",partition="0"} ${3 + 2.5 * Math.sin(Date.now() / 4_000)}`,
    `topclients_projector_lag_seconds{page="user",partition="0"} ${Math.abs(Math.cos(Date.now() / 3_000))}`,
    '',
  ].join('\n');
}
const servers: Server[] = [];
async function serve(metrics: () => string): Promise<{ port: number; close(): void }> {
  const server = createServer((_req, res) => res.end(metrics()));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { port: (server.address() as AddressInfo).port, close };
}
let source: { port: number; close(): void };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'metrics-lab-'));
  let base = 16_000;
  const isTaken = async () => !(await isPortFree(base)) || !(await isPortFree(base + 30));
  while (await isTaken()) base += 100;
  const ports = portsFrom(base);
  source = await serve(() => 'topclients_build_info{role="top-clients",version="1"} 1\n');
  const pages = await serve(pageServerMetrics);
  prometheus = await startPrometheus({
    dataDir: join(folder, 'prometheus'),
    scrape: {
      ...scraping([
        { name: 'top-clients', role: 'top-clients', healthPort: source.port },
        { name: 'gig', role: 'page-server', healthPort: pages.port },
      ]),
      everyMs: 500,
    },
  });
  proxy = await openDelayProxy(ports['delay-proxy'], ports['top-clients']);
  lab = await openLab({
    host: '127.0.0.1',
    ports,
    sellers: 20,
    issuer: await openIssuer(join(folder, 'key.json'), publicUrl(ports.lab)),
    keepers: new Map(),
    proxy,
    metrics: () => ({ state: 'running', url: prometheus.url }),
    examples: allExamples({ state: 'preparing' }),
  });
  browser = await openBrowser();
  page = await browser.newPage({ viewport: SIZES.desktop });
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  await page.goto(`${publicUrl(ports.lab)}/metrics-lab`);
}, 60_000);

afterAll(async () => {
  await browser?.close();
  await lab?.close();
  await proxy?.close();
  await prometheus?.stop();
  for (const server of servers) server.closeAllConnections();
  for (const server of servers) server.close();
  await rm(folder, { recursive: true, force: true });
}, 30_000);

const legend = (id: string) => page.locator(`#legend-${id}`);

test('pages that lose the brands are seen without a reload: as a line, in the legend and in the table', async () => {
  await legend('completeness').filter({ hasText: 'gig asynchronous 100 %' }).waitFor();
  await legend('completeness').filter({ hasText: 'objective 99.5 %' }).waitFor();
  PAGE_SERVER.outcome = 'missing';
  await legend('completeness')
    .filter({ hasText: /gig asynchronous (\d|[1-8]\d)(\.\d+)? %/ })
    .waitFor();
  const drawn = await page.locator('#lines-completeness path.is-gig-asynchronous').getAttribute('d');
  expect(drawn).toMatch(/^M.*L/);
  await page.locator('[data-plot=outcomes] summary').click();
  await page
    .locator('#values-outcomes tr')
    .filter({ hasText: /^missing\s*[\d.]+\/s/ })
    .waitFor();
});

test('a process that does not answer is named until it does', async () => {
  await page.locator('#silent').filter({ hasText: 'all answer' }).waitFor();
  source.close();
  await page.locator('#silent').filter({ hasText: 'top-clients' }).waitFor();
  await page
    .getByRole('status')
    .filter({ hasText: 'Not answering: top-clients.' })
    .waitFor({ state: 'attached' });
});

test('pointer and arrow keys tell the values of a moment', async () => {
  const area = page.locator('[data-plot=lag-seconds] .plot-area');
  const tip = page.locator('[data-plot=lag-seconds] .plot-tip');
  expect(await tip.isVisible()).toBe(false);
  await area.hover();
  await tip.filter({ hasText: 'ago' }).waitFor();
  await page.mouse.move(0, 0);
  await tip.waitFor({ state: 'hidden' });
  await area.focus();
  await page.keyboard.press('ArrowRight');
  await tip.filter({ hasText: /^now.*gig.*user/ }).waitFor();
  await page.keyboard.press('Escape');
  await tip.waitFor({ state: 'hidden' });
});

test('there is no grave obstacle, nor anything to scroll sideways on a phone, in both looks', async () => {
  expect(await graveViolationsInBothLooks(page)).toEqual([]);
  await page.setViewportSize(SIZES.phone);
  // Read as text: this is the browser's world, whose types are not ours.
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(SIZES.phone.width);
  expect(complaints).toEqual([]);
});

test('without a script the page is whole', async () => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const still = await context.newPage();
  await still.goto(page.url());
  await still.locator('#legend-completeness').filter({ hasText: 'gig asynchronous' }).waitFor();
  expect(await still.locator('#lines-completeness path').count()).toBe(1);
  await context.close();
});
