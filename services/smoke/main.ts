import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { SellerId } from '#contracts/client.ts';
import { milliseconds, setting, url } from '#platform/config.ts';
import { defineRole } from '#role/role.ts';
import { callerCredential, secretText } from '../auth/caller-credential.ts';
import { openMarketplace } from './marketplace.ts';
import { smoke } from './smoke.ts';

export const role = defineRole({
  name: 'smoke',
  about: 'writes a client by the API, waits to see it on a page, and removes it; `helm test` runs it',
  settings: {
    sourceUrl: setting('TC_SOURCE_URL', 'base address of the source of truth, without /v1', url()),
    sellerId: setting('TC_SELLER_ID', 'whose list gets the client', z.coerce.number().pipe(SellerId)),
    pageUrl: setting('TC_PAGE_URL', "address of a page of that seller's, as …/gigs/1", url().optional()),
    tokenUrl: setting('TC_TOKEN_URL', "the demo issuer's /token", url().optional()),
    token: setting(
      'TC_TOKEN',
      'a token of that seller; without both nothing is written',
      z.string().optional(),
    ),
    sourceCredential: setting(
      'TC_SOURCE_CREDENTIAL',
      "by what the test tells the source who it is, made from the source's key",
      secretText(),
    ),
    deadlineMs: setting('TC_DEADLINE_MS', 'for all of it, in ms', milliseconds().default(60_000)),
  },
  async start(config, { log, releases }) {
    const marketplace = openMarketplace({
      ...config,
      sourceCredential: callerCredential('TC_SOURCE_CREDENTIAL', config.sourceCredential),
      callDeadlineMs: 5_000,
    });
    releases.push('connections to the source of truth', marketplace.close);
    const { failedBecause, seen } = await smoke(marketplace, {
      deadlineMs: config.deadlineMs,
      betweenLooksMs: 250,
      nonce: randomUUID().slice(0, 8),
    });
    for (const sentence of seen) log.info(sentence);
    if (failedBecause !== null) throw new Error(failedBecause);
    return 'done';
  },
});
