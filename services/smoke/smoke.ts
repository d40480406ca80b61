import { isolatedText } from '#contracts/text.ts';
import { pause } from '#platform/lifecycle.ts';
import type { Answered, Marketplace, ShownClient, ShownPage } from './marketplace.ts';

/** The names of all clients that this test writes begin like this, so that it finds what a killed run left behind. */
export const MARK = 'Smoke test';

export interface SmokeResult {
  /** Null when everything went well; otherwise a sentence for whoever ran the test. */
  readonly failedBecause: string | null;
  /** What was seen, one sentence each, in order. */
  readonly seen: readonly string[];
}

export interface SmokeSettings {
  /** Deadline of all steps together, in ms; the client that was written is removed afterwards in any case. */
  readonly deadlineMs: number;
  readonly betweenLooksMs: number;
  /** Makes the client's name unique. */
  readonly nonce: string;
}

/**
 * Writes a client by the API, waits until the page shows it, and removes it again. Without a token it writes nothing:
 * then the page must show what the source has.
 */
export async function smoke(marketplace: Marketplace, settings: SmokeSettings): Promise<SmokeResult> {
  const until = performance.now() + settings.deadlineMs;
  const seen: string[] = [];
  let written: ShownClient | null = null;

  /** Repeats a step while it may still succeed: right after an installation not everything is up yet. */
  async function insist<T>(what: string, step: () => Promise<Answered<T>>): Promise<T> {
    for (;;) {
      const answer = await step();
      if (answer.kind === 'answer') return answer.value;
      if (answer.kind === 'refused') throw new Failed(`${what}: ${answer.because}`);
      if (performance.now() >= until) {
        throw new Failed(`${what} within ${settings.deadlineMs / 1_000} s: ${answer.because}`);
      }
      await pause(settings.betweenLooksMs);
    }
  }

  async function test(): Promise<void> {
    const before = await insist('the source cannot be read', () => marketplace.list());
    seen.push(`the source has ${before.clients.length} clients of the seller, in version ${before.version}`);
    if (!marketplace.mayWrite) {
      await shows(before.clients, 'what the source has');
      return;
    }
    for (const leftover of before.clients.filter(isOurs)) {
      await insist('what an earlier run left cannot be removed', () => marketplace.remove(leftover.id));
      seen.push(`removed “${leftover.name}”, which an earlier run had left`);
    }
    written = await insist('the client cannot be written', () =>
      marketplace.add(`${MARK} ${settings.nonce}`),
    );
    seen.push(`wrote “${written.name}”`);
    await shows([written], `“${written.name}”`);
  }

  async function shows(wanted: readonly ShownClient[], what: string): Promise<void> {
    if (!marketplace.hasPage) {
      seen.push('no page is deployed that could show it');
      return;
    }
    const began = performance.now();
    const off = await insist(`the page does not show ${what}`, async () => {
      const answer = await marketplace.page();
      return answer.kind === 'answer' ? judgePage(answer.value, wanted) : answer;
    });
    const afterMs = Math.round(performance.now() - began);
    seen.push(
      off === 'off' ? 'the page is up; its delivery is off' : `the page shows ${what}, after ${afterMs} ms`,
    );
  }

  let failedBecause: string | null = null;
  try {
    await test();
  } catch (err) {
    if (!(err instanceof Failed)) throw err;
    failedBecause = err.message;
  }
  // `test()` sets it, which the compiler does not see.
  const left = written as ShownClient | null;
  if (left) {
    const removed = await marketplace.remove(left.id);
    if (removed.kind === 'answer') seen.push(`removed “${left.name}”`);
    else failedBecause ??= `“${left.name}” cannot be removed again: ${removed.because}`;
  }
  return { failedBecause, seen };
}

/** Whether a page shows the wanted clients. A card may list only some of a seller's; the test's own gig lists all. */
export function judgePage(page: ShownPage, wanted: readonly ShownClient[]): Answered<'shown' | 'off'> {
  if (page.topClients === null) return { kind: 'answer', value: 'off' };
  const { outcome, clients } = page.topClients;
  const lacking = wanted.filter(({ id }) => !clients.some((one) => one.id === id));
  if (lacking.length === 0) return { kind: 'answer', value: 'shown' };
  const names = lacking.map(({ name }) => `“${isolatedText(name)}”`).join(', ');
  return { kind: 'not yet', because: `it answers with outcome ${outcome}, and lacks ${names}` };
}

const isOurs = ({ name }: ShownClient) => name.startsWith(`${MARK} `);

/** A step that cannot succeed any more; the message is for people. */
class Failed extends Error {
  override name = 'Failed';
}
