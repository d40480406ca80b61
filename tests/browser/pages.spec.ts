import { afterAll, afterEach, beforeAll, describe } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { type Stack, startStack } from '../support/stack.ts';
import { journeysForBuyers } from './for-buyers.ts';
import { journeysForEverybody } from './for-everybody.ts';
import { openBrowser } from './open-browser.ts';
import { journeysWhenThingsFail } from './when-things-fail.ts';
import { journeysWithScript } from './with-script.ts';
import { journeysWithoutScript } from './without-script.ts';
import { type BrowserWorld, worldOf } from './world.ts';

let stack: Stack | undefined;
let browser: Browser | undefined;
let world: BrowserWorld | undefined;

// One system for all journeys: it takes longer to start than most of them to walk.
beforeAll(async () => {
  browser = await openBrowser();
  stack = await startStack({
    env: {
      'top-clients': { TC_WRITES_PER_MINUTE: 60 },
      // Journeys are about what is shown, on a machine that may be busy with a compiler; deadlines have their specs.
      'self-view': { TC_PAGE_DEADLINE_MS: 5_000 },
    },
  });
  world = worldOf(stack, browser);
}, 240_000);

afterEach(() => world?.closeAll());

afterAll(async () => {
  await browser?.close();
  await stack?.stop();
}, 60_000);

const here = (): BrowserWorld => {
  if (!world) throw new Error('the system did not start');
  return world;
};

describe('a seller without a script', () => journeysWithoutScript(here));
describe('a seller with the script', () => journeysWithScript(here));
describe('buyers', () => journeysForBuyers(here));
describe('everybody', () => journeysForEverybody(here));
describe('when things fail', () => journeysWhenThingsFail(here));
