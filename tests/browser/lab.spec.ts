import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { portsFrom, publicUrl } from '../../services/demo/addresses.ts';
import { type DelayProxy, openDelayProxy } from '../../services/demo/delay-proxy.ts';
import { Keeper } from '../../services/demo/keeper.ts';
import { type Lab, openLab } from '../../services/demo/lab/server.ts';
import { openIssuer } from '../../services/issuer/issuer.ts';
import { isPortFree } from '../../services/local-stack/ports.ts';
import { startProcess } from '../../services/local-stack/process.ts';
import { graveViolationsInBothLooks } from './accessibility.ts';
import { openBrowser } from './open-browser.ts';

let folder: string;
let browser: Browser;
let keeper: Keeper;
let proxy: DelayProxy;
let lab: Lab;
let address: string;

// The lab as it stands, over a source of truth that only sleeps: the whole demo has a system test of its own.
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lab-'));
  let base = 16_000;
  const isTaken = async () => !(await isPortFree(base)) || !(await isPortFree(base + 30));
  while (await isTaken()) base += 100;
  const ports = portsFrom(base);
  address = publicUrl(ports.lab);
  const source = await startProcess({
    name: 'source',
    command: 'sleep',
    args: ['1000'],
    logFile: join(folder, 'log'),
  });
  keeper = new Keeper('top-clients', source, () => {});
  proxy = await openDelayProxy(ports['delay-proxy'], ports['top-clients']);
  lab = await openLab({
    host: '127.0.0.1',
    ports,
    sellers: 20,
    issuer: await openIssuer(join(folder, 'key.json'), address),
    keepers: new Map([['top-clients', keeper]]),
    proxy,
    metrics: () => ({ state: 'absent', why: 'install it' }),
    examples: { 'python-page': { state: 'running' }, 'node-page': { state: 'absent', why: 'npm is needed' } },
  });
  browser = await openBrowser();
}, 60_000);

afterAll(async () => {
  await browser?.close();
  await lab?.close();
  await proxy?.close();
  await keeper?.stop();
  await rm(folder, { recursive: true, force: true });
}, 30_000);

test.each([true, false])('the switches work by keyboard, with a script: %s', async (javaScriptEnabled) => {
  const context = await browser.newContext({ javaScriptEnabled });
  const page = await context.newPage();
  await page.goto(address);
  const state = page.locator('#state-top-clients');
  const press = async (name: RegExp) => {
    await page.getByRole('button', { name }).focus();
    await page.keyboard.press('Enter');
  };
  // Without a script the page reloads itself; waiting for a text survives that.
  const reads = (text: string) => state.filter({ hasText: text }).waitFor();
  await reads('running');
  await press(/^Kill it/);
  await reads('killed');
  await page.getByLabel('Slow it by').fill('70');
  await page.keyboard.press('Enter');
  await reads('slow by 70 ms');
  expect(proxy.delayMs).toBe(70);
  await press(/^Restore it/);
  await reads('running');
  expect(keeper.heldDown).toBe(false);
  await context.close();
});

test('a refusal is shown', async () => {
  const page = await browser.newPage();
  await page.goto(address);
  await page.getByRole('button', { name: 'Write now' }).click();
  await page.getByRole('alert').filter({ hasText: 'still starting' }).waitFor();
  await page.close();
});

test('there is no grave obstacle, nor anything to scroll sideways, in both looks', async () => {
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  await page.goto(address);
  await page.getByText('Break something else').click();
  expect(await graveViolationsInBothLooks(page)).toEqual([]);
  await page.setViewportSize({ width: 390, height: 844 });
  // Read as text: this is the browser's world, whose types are not ours.
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
  expect(complaints).toEqual([]);
  await page.close();
});
