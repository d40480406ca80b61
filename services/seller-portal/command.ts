import type { Client, NewClient } from '#contracts/client.ts';
import { isolatedText, legible } from '#contracts/text.ts';

/** What a seller does to the list; `restore` takes a removal back. Stored as JSON, as the inverse of a change. */
export type PortalCommand =
  | { readonly kind: 'add'; readonly client: NewClient }
  | { readonly kind: 'update'; readonly clientId: string; readonly client: NewClient }
  | { readonly kind: 'remove'; readonly clientId: string }
  | { readonly kind: 'reorder'; readonly clientIds: readonly string[] }
  | { readonly kind: 'restore'; readonly client: NewClient; readonly position: number };

/** Where the buttons send a client. */
export const MOVES = ['first', 'up', 'down', 'last'] as const;
export type Move = (typeof MOVES)[number];

/** A client as the source accepts it today: a stored one may hold what would be refused now. */
const withoutId = ({ name, industry, description, logo, from, to }: Client): NewClient => ({
  name: legible(name, 'label'),
  industry: legible(industry, 'label'),
  description: legible(description, 'passage'),
  logo,
  from,
  to,
});

/**
 * The command that takes another one back. Pure.
 * @param before the list the command was made for
 * @param addedId the id the source of truth gave to what was added or restored; null while it is unknown
 * @returns null where there is nothing to take back: the client is not in the list, or the id is unknown, or nothing of
 *   its name can be seen
 */
export function inverseOf(
  command: PortalCommand,
  before: readonly Client[],
  addedId: string | null,
): PortalCommand | null {
  switch (command.kind) {
    case 'add':
    case 'restore':
      return addedId === null ? null : { kind: 'remove', clientId: addedId };
    case 'update': {
      const client = before.find((one) => one.id === command.clientId);
      const again = client && withoutId(client);
      return again?.name ? { kind: 'update', clientId: client!.id, client: again } : null;
    }
    case 'remove': {
      const position = before.findIndex((one) => one.id === command.clientId);
      const client = before[position];
      const again = client && withoutId(client);
      return again?.name ? { kind: 'restore', client: again, position } : null;
    }
    case 'reorder':
      return { kind: 'reorder', clientIds: before.map((one) => one.id) };
  }
}

/** The order after one client moved; the same order where it cannot move, or is not in the list. Pure. */
export function moved(order: readonly string[], id: string, move: Move): string[] {
  const at = order.indexOf(id);
  if (at < 0) return [...order];
  const rest = order.filter((one) => one !== id);
  switch (move) {
    case 'first':
      return [id, ...rest];
    case 'up':
      return rest.toSpliced(Math.max(0, at - 1), 0, id);
    case 'down':
      return rest.toSpliced(at + 1, 0, id);
    case 'last':
      return [...rest, id];
  }
}

/** What the page says after a change, and beside the button that takes it back: a text for `sentence`. */
export function titleOf(command: PortalCommand, before: readonly Client[]): string {
  const nameOf = (id: string) => isolatedText(before.find((one) => one.id === id)?.name ?? 'the client');
  switch (command.kind) {
    case 'add':
      return `${isolatedText(command.client.name)} was added`;
    case 'update':
      return `${isolatedText(command.client.name)} was changed`;
    case 'remove':
      return `${nameOf(command.clientId)} was removed`;
    case 'reorder':
      return 'The order was changed';
    case 'restore':
      return `${isolatedText(command.client.name)} is back`;
  }
}
