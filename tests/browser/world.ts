import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from '@jest/globals';
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import type { Client } from '#contracts/client.ts';
import type { Stack } from '../support/stack.ts';

/** What a journey starts from: the whole system, and a browser in front of it. */
export interface BrowserWorld {
  readonly stack: Stack;
  /** A window of its own, with no cookies. Closed after the journey by `closeAll`. */
  open(options?: { script?: boolean; size?: Size; touch?: boolean }): Promise<Page>;
  closeAll(): Promise<void>;
}
export type Size = keyof typeof SIZES;

export const SIZES = {
  phone: { width: 390, height: 844 },
  desktop: { width: 1280, height: 900 },
} as const;

/** How long a condition may take to come true on a busy machine, in ms. */
const PATIENCE_MS = 15_000;

export function worldOf(stack: Stack, browser: Browser): BrowserWorld {
  const contexts: BrowserContext[] = [];
  return {
    stack,
    async open({ script = true, size = 'desktop', touch = false } = {}) {
      const context = await browser.newContext({
        viewport: SIZES[size],
        javaScriptEnabled: script,
        hasTouch: touch,
        reducedMotion: 'reduce',
      });
      contexts.push(context);
      context.setDefaultTimeout(PATIENCE_MS);
      return context.newPage();
    },
    async closeAll() {
      await Promise.all(contexts.splice(0).map((context) => context.close()));
    },
  };
}

/** Asks again until the answer fits, or fails with the last answer. */
export async function until<T>(
  what: string,
  ask: () => Promise<T>,
  fits: (answer: T) => boolean,
): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask();
    if (fits(answer)) return answer;
    if (Date.now() > deadline)
      throw new Error(`${what} did not come true; at last: ${JSON.stringify(answer)}`);
    await delay(50);
  }
}

// ------------------------------------------------------------------------------------------ the source of truth

export interface Truth {
  readonly version: number;
  readonly clients: readonly Client[];
}

export async function truthOf({ stack }: BrowserWorld, sellerId: number): Promise<Truth> {
  const answer = await fetch(`${stack.urls.source}/v1/sellers/${sellerId}/top-clients`);
  return (await answer.json()) as Truth;
}

/** Sends a command to the API as the seller, as another device would. @returns the status @throws when it is refused */
export async function commandByApi(
  { stack }: BrowserWorld,
  sellerId: number,
  method: 'POST' | 'PUT' | 'DELETE',
  path: string,
  body?: unknown,
): Promise<number> {
  const answer = await fetch(`${stack.urls.source}/v1/sellers/${sellerId}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${await stack.issuer.token(sellerId)}`,
      'idempotency-key': randomUUID(),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${method} ${path} was refused: ${await answer.text()}`);
  return answer.status;
}

/** Adds clients by the API. */
export async function addByApi(
  world: BrowserWorld,
  sellerId: number,
  names: readonly string[],
): Promise<void> {
  for (const name of names) {
    const status = await commandByApi(world, sellerId, 'POST', '/clients', { name });
    if (status !== 201) throw new Error(`${name} was not added: ${status}`);
  }
}

// ------------------------------------------------------------------------------------------ the self-view

export const ownPage = ({ stack }: BrowserWorld, sellerId: number): string =>
  `${stack.urls['self-view']}/sellers/${sellerId}`;

/** Signs in by the form, and is on the seller's own page afterwards. */
export async function signIn(world: BrowserWorld, page: Page, sellerId: number): Promise<void> {
  await page.goto(ownPage(world, sellerId));
  await page.getByLabel('Seller number').fill(String(sellerId));
  await page.getByRole('button', { name: 'Sign in as this seller' }).click();
  await page.getByRole('heading', { name: 'Your top clients' }).waitFor();
}

export const brandField = (page: Page) => page.getByLabel('Brand', { exact: true });
export const notice = (page: Page) => page.locator('#notice');
export const row = (page: Page, name: string) => page.locator('.client').filter({ hasText: name });
export const namesOn = (page: Page): Promise<string[]> => page.locator('.client h3').allTextContents();
/** The page waits for no answer to a change. */
export const changesAnswered = (page: Page) => page.locator('#self-view:not([aria-busy])').waitFor();

/** Waits for the page to say so; the words stand in the notice. */
export async function told(page: Page, words: string): Promise<void> {
  await notice(page).filter({ hasText: words }).waitFor();
}

/**
 * Presses "Try again" as often as it is offered, until the page says so.
 * @param press resolves when the answer is shown: the button of before is gone by then, and is not taken for a new one
 */
export async function tryAgainUntilTold(
  page: Page,
  words: string,
  press: (again: Locator) => Promise<unknown>,
): Promise<void> {
  await until(
    words,
    async () => {
      const again = page.getByRole('button', { name: 'Try again' });
      if (await again.isVisible()) await press(again);
      return (await notice(page).textContent()) ?? '';
    },
    (text) => text.includes(words),
  );
}

/** What the seller sees is what the source of truth has: at once, in order, without a second look. */
export async function expectTruth(
  world: BrowserWorld,
  page: Page,
  sellerId: number,
  names: readonly string[],
) {
  const { clients } = await truthOf(world, sellerId);
  expect(clients.map(({ name }) => name)).toEqual(names);
  expect(await namesOn(page)).toEqual(names);
}
