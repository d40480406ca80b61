/** What the source of truth can do, one file each. */
export { addClient } from './add-client.ts';
export { resumeAfterRestore } from './after-restore.ts';
export { emptyLogs } from './empty-logs.ts';
export { enrichClients } from './enrich-clients.ts';
export { eraseSeller, receiptIdOf } from './erase-seller.ts';
export { readClient } from './read-client.ts';
export { readErasures } from './read-erasures.ts';
export { readHistory } from './read-history.ts';
export { readReceipt } from './read-receipt.ts';
export { rebuildState } from './rebuild-state.ts';
export { removeClient } from './remove-client.ts';
export { reorderClients } from './reorder-clients.ts';
export { sweepKeys } from './sweep-keys.ts';
export { updateClient } from './update-client.ts';
export { CANARY_LOG, writeCanary } from './write-canary.ts';
