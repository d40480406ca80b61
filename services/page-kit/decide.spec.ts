import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { ClientIds, ClientList, PageClient, ShownList } from '#pages/page.ts';
import {
  decideWithIds,
  decideWithList,
  decideWithNothing,
  isBeyond,
  MISSING,
  settle,
  worst,
} from './decide.ts';

const spotify: PageClient = { id: '1', name: 'Spotify', logo: 'spotify' };
const listAt = (version: number, clients: readonly PageClient[] = [spotify]): ClientList => ({
  version,
  committedAt: 1_000 * version,
  clients,
  total: clients.length,
});
const idsAt = (version: number, clientIds: readonly string[] = ['1']): ClientIds => ({
  version,
  committedAt: 1_000 * version,
  clientIds,
});

describe('a page that holds lists', () => {
  test('shows what it holds without asking anybody', () => {
    expect(decideWithList(listAt(3), 0)).toEqual({ do: 'show', shown: { outcome: 'full', list: listAt(3) } });
    expect(decideWithList(listAt(3), 3).do).toBe('show');
  });

  test('shows a seller without a row in full, at version 0', () => {
    expect(decideWithList(undefined, 0)).toMatchObject({
      do: 'show',
      shown: { outcome: 'full', list: { version: 0, committedAt: null, clients: [] } },
    });
  });

  test('asks the source of truth when the reader has seen a newer version, a seller without a row included', () => {
    expect(decideWithList(listAt(3), 4)).toEqual({
      do: 'ask for the list',
      known: 3,
      otherwise: { outcome: 'stale', list: listAt(3) },
    });
    expect(decideWithList(undefined, 1)).toMatchObject({
      do: 'ask for the list',
      otherwise: { outcome: 'stale', list: { version: 0 } },
    });
  });
});

describe('a page that holds ids', () => {
  test('spares the source of truth for sellers without clients and sellers without a row', () => {
    expect(decideWithIds(undefined, 0)).toMatchObject({ do: 'show', shown: { outcome: 'full' } });
    expect(decideWithIds(idsAt(7, []), 0)).toMatchObject({
      do: 'show',
      shown: { outcome: 'full', list: { version: 7, clients: [] } },
    });
  });

  test('asks for the clients it knows of, and for the whole list when that is older than the reader wants', () => {
    expect(decideWithIds(idsAt(7), 7)).toEqual({ do: 'ask for clients', held: idsAt(7), otherwise: MISSING });
    expect(decideWithIds(idsAt(7), 8)).toEqual({
      do: 'ask for the list',
      known: 7,
      otherwise: MISSING,
    });
    expect(decideWithIds(idsAt(7, []), 8)).toMatchObject({
      do: 'ask for the list',
      otherwise: { outcome: 'stale' },
    });
  });

  test('claims no more than the version at which its view named the clients', () => {
    const decision = { do: 'ask for clients', held: idsAt(7), otherwise: MISSING } as const;
    expect(settle(decision, listAt(9), 0)).toEqual({
      outcome: 'full',
      list: { ...listAt(9), version: 7, committedAt: 7_000 },
    });
  });
});

describe('after the source of truth was asked', () => {
  test('its list is shown, as stale only when it lost a version that the page had', () => {
    const decision = { do: 'ask for the list', known: 6, otherwise: MISSING } as const;
    expect(settle(decision, listAt(6), 6)).toEqual({ outcome: 'full', list: listAt(6) });
    expect(isBeyond(decision, listAt(5), 6)).toBe(false);
    expect(settle(decision, listAt(5), 6)).toEqual({ outcome: 'stale', list: listAt(5) });
  });

  test('a version that neither the page nor the source of truth has is the mistake of who asked for it', () => {
    const decision = { do: 'ask for the list', known: 4, otherwise: MISSING } as const;
    expect(isBeyond(decision, listAt(5), 6)).toBe(true);
    expect(isBeyond(decision, listAt(5), 5)).toBe(false);
    expect(isBeyond(decision, listAt(0, []), Number.MAX_SAFE_INTEGER)).toBe(true);
    // Nobody knows.
    expect(isBeyond(decision, null, 6)).toBe(false);
    expect(isBeyond({ do: 'ask for clients', held: idsAt(7), otherwise: MISSING }, listAt(9), 7)).toBe(false);
  });

  test('without an answer the fallback is shown: the stale view, or nothing', () => {
    const stale: ShownList = { outcome: 'stale', list: listAt(3) };
    expect(settle({ do: 'ask for the list', known: 3, otherwise: stale }, null, 4)).toBe(stale);
    expect(settle({ do: 'ask for the list', known: 0, otherwise: MISSING }, null, 0)).toBe(MISSING);
  });
});

test('whatever is held, asked for and answered: full means at minVersion the version asked for, and missing shows nothing', () => {
  const version = fc.nat({ max: 5 });
  const held = fc.option(version, { nil: undefined });
  fc.assert(
    fc.property(
      fc.constantFrom('lists', 'ids', 'nothing'),
      held,
      fc.boolean(),
      version,
      fc.option(version, { nil: null }),
      (kind, heldVersion, empty, minVersion, answered) => {
        const decision =
          kind === 'nothing'
            ? decideWithNothing()
            : kind === 'lists'
              ? decideWithList(
                  heldVersion === undefined ? undefined : listAt(heldVersion, empty ? [] : [spotify]),
                  minVersion,
                )
              : decideWithIds(
                  heldVersion === undefined ? undefined : idsAt(heldVersion, empty ? [] : ['1']),
                  minVersion,
                );
        const answer = answered === null ? null : listAt(answered);
        if (decision.do !== 'show' && isBeyond(decision, answer, minVersion)) {
          return expect(minVersion).toBeGreaterThan(
            Math.max(kind === 'nothing' ? 0 : (heldVersion ?? 0), answered!),
          );
        }
        const shown = decision.do === 'show' ? decision.shown : settle(decision, answer, minVersion);
        if (shown.outcome === 'stale') expect(answered).toBeNull();
        if (shown.outcome === 'missing') expect(shown.list).toBeNull();
        else expect(shown.list!.version >= minVersion).toBe(shown.outcome === 'full');
      },
    ),
  );
});

test('a page of many sellers is as good as its worst card', () => {
  const shown = (...outcomes: ShownList['outcome'][]): ShownList[] =>
    outcomes.map((outcome) => ({ outcome, list: null }));
  expect(worst([])).toBe('full');
  expect(worst(shown('full', 'stale', 'full'))).toBe('stale');
  expect(worst(shown('full', 'missing', 'stale'))).toBe('missing');
});
